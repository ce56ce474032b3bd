// Package panictrace describes where a panic happened, without any value: the runtime's own traces show arguments, which can be a
// person's data. Those who recover use it: package api around a handler, and package writes around a transaction.
package panictrace

import (
	"fmt"
	"runtime"
	"strings"
)

// New returns the functions and lines that led to a panic, the innermost first. The deferred function that recovers calls it.
func New() string {
	const skipped = 4 // Callers, New, the deferred function, the runtime's panic
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
