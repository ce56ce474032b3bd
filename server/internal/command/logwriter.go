package command

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// The lines of a busy server share system calls, which would cost each line as much as the validation of its request:
	// they are written at this interval, or as soon as there are this many bytes.
	logInterval = 100 * time.Millisecond
	logBytes    = 64 << 10

	// maxPendingLog bounds the lines that wait for a reader of the log that has stalled, in bytes. Further lines are dropped,
	// so that no request ever waits for the log.
	maxPendingLog = 4 << 20

	// logCloseTimeout bounds how long a server that stops waits for such a reader.
	logCloseTimeout = time.Second
)

// newLog returns a log that writes lines of a level and above to w: text if w is a terminal, JSON with priorities if the journal
// reads w, and JSON otherwise. dropped is called with the number of lines that could not be written. close writes the pending lines.
//
// A line is written at once if none was written within the last logInterval, or if it is a warning or an error.
func newLog(w io.Writer, level slog.Leveler, dropped func(lines int)) (log *slog.Logger, close func()) {
	lines := &logWriter{to: w, onDrop: dropped, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), closing: make(chan struct{}), closed: make(chan struct{})}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(lines, options)
	switch {
	case isTerminal(w):
		handler = slog.NewTextHandler(lines, options)
	case logsToJournal(w):
		handler = newJournalHandler(lines, options)
	}
	lines.log = slog.New(flushingHandler{handler, lines.flush})
	go lines.run()
	return lines.log, lines.close
}

// flushingHandler writes warnings and errors at once, with all lines before them.
type flushingHandler struct {
	slog.Handler
	flush func()
}

func (h flushingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level > slog.LevelInfo {
		h.flush()
	}
	return err
}

func (h flushingHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return flushingHandler{h.Handler.WithAttrs(attributes), h.flush}
}

func (h flushingHandler) WithGroup(name string) slog.Handler {
	return flushingHandler{h.Handler.WithGroup(name), h.flush}
}

// logWriter hands lines to a goroutine that writes them.
type logWriter struct {
	to     io.Writer
	onDrop func(lines int)
	log    *slog.Logger // of these lines

	wake, hurry     chan struct{} // there is a line; it is urgent
	closing, closed chan struct{}

	mu      sync.Mutex
	pending []byte
	dropped int // lines since the last report
}

// Write keeps the line for the goroutine, or drops it. It never waits for the reader of the log.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.pending)+len(line) > maxPendingLog {
		w.mu.Unlock()
		w.drop(1)
		return len(line), nil
	}
	w.pending = append(w.pending, line...)
	full := len(w.pending) >= logBytes
	w.mu.Unlock()
	signalTo(w.wake)
	if full {
		w.flush()
	}
	return len(line), nil
}

func (w *logWriter) flush() { signalTo(w.hurry) }

func (w *logWriter) drop(lines int) {
	w.onDrop(lines)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped += lines
}

// run writes pending lines until close is called.
func (w *logWriter) run() {
	defer close(w.closed)
	var written time.Time
	var lines []byte
	for closing := false; !closing; {
		select {
		case <-w.wake:
		case <-w.closing:
			closing = true
		}
		if wait := logInterval - time.Since(written); wait > 0 && !closing {
			select {
			case <-time.After(wait):
			case <-w.hurry:
			case <-w.closing:
				closing = true
			}
		}
		w.mu.Lock()
		lines, w.pending = w.pending, lines[:0]
		w.mu.Unlock()
		if n, err := w.to.Write(lines); err != nil { // the reader has left, or the disk is full
			w.drop(bytes.Count(lines[n:], []byte("\n")))
		} else {
			w.report()
		}
		written = time.Now()
	}
}

// report logs how many lines were dropped since the last report.
func (w *logWriter) report() {
	w.mu.Lock()
	dropped := w.dropped
	w.dropped = 0
	w.mu.Unlock()
	if dropped > 0 {
		w.log.Warn("log lines were dropped, because the log could not be written", "lines", dropped)
	}
}

// close writes the pending lines, and gives up after logCloseTimeout if the reader of the log has stalled.
func (w *logWriter) close() {
	close(w.closing)
	select {
	case <-w.closed:
	case <-time.After(logCloseTimeout):
	}
}

// signalTo puts a signal into a channel with room for one.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
