package command

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// The log of a busy server is written in pieces: so often, or when so much has come together.
const (
	logInterval = 100 * time.Millisecond
	logBytes    = 64 << 10
)

// newLog returns a log that writes to w, for people if that is a terminal, in JSON for programs elsewhere, and a
// function that writes what is left. A line that comes alone is written at once, and so is one that tells of trouble;
// those of requests that come close together share a system call, which would cost each of them as much as its validation.
func newLog(w io.Writer) (log *slog.Logger, flush func()) {
	lines := &bufferedWriter{to: w}
	var handler slog.Handler = slog.NewJSONHandler(lines, nil)
	if isTerminal(w) {
		handler = slog.NewTextHandler(lines, nil)
	}
	return slog.New(flushingHandler{handler, lines.flush}), lines.flush
}

// flushingHandler has what is worse than information written at once, with all that came before it.
type flushingHandler struct {
	slog.Handler
	flush func()
}

func (u flushingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level > slog.LevelInfo {
		u.flush()
	}
	return err
}

func (u flushingHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return flushingHandler{u.Handler.WithAttrs(attributes), u.flush}
}

func (u flushingHandler) WithGroup(name string) slog.Handler {
	return flushingHandler{u.Handler.WithGroup(name), u.flush}
}

// bufferedWriter gathers lines.
type bufferedWriter struct {
	to io.Writer

	mu      sync.Mutex
	lines   []byte
	written time.Time
	timer   *time.Timer // runs while there are lines; nil before the first time
}

// Write writes the line or keeps it for a while.
func (g *bufferedWriter) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line...)
	switch {
	case len(g.lines) >= logBytes, time.Since(g.written) >= logInterval:
		g.write()
	case g.timer == nil:
		g.timer = time.AfterFunc(logInterval, g.flush)
	case len(g.lines) == len(line):
		g.timer.Reset(logInterval)
	}
	return len(line), nil
}

func (g *bufferedWriter) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lines) > 0 {
		g.write()
	}
}

func (g *bufferedWriter) write() {
	g.to.Write(g.lines) // there is nobody to tell that the log cannot be written
	g.lines, g.written = g.lines[:0], time.Now()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
