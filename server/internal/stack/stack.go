// Package stack tells where a panic happened, and nothing of what was being worked on: the runtime's own traces show
// arguments, which can be a person's data.
package stack

import (
	"fmt"
	"runtime"
	"strings"
)

// Trace returns the functions and lines that led to a panic, the innermost first. It is to be called by the deferred
// function that recovers.
func Trace() string {
	const skipped = 4 // Callers, Trace, the deferred function, the runtime's panic
	var s strings.Builder
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(skipped, pc)])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(&s, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return s.String()
}
