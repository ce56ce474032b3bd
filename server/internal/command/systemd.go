package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
)

// notifySystemd tells the service manager a new state, if there is one that waits for it.
func notifySystemd(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be notified", "error", err)
	}
}

// listenFromSystemd returns the listener that the service manager has opened. It stays open there, so that callers wait while the
// server restarts.
func listenFromSystemd() (net.Listener, error) {
	listeners, err := activation.Listeners()
	switch {
	case err != nil:
		return nil, fmt.Errorf("--addr systemd: %w", err)
	case len(listeners) == 0:
		return nil, errors.New("--addr systemd: no socket was passed; start the server by its .socket unit, or give HOST:PORT")
	case len(listeners) > 1 || listeners[0] == nil:
		return nil, errors.New("--addr systemd: one stream socket is needed; write one line ListenStream= to the .socket unit, and no other")
	}
	return listeners[0], nil
}

// logsToJournal reports whether w is standard error and the journal reads it.
func logsToJournal(w io.Writer) bool {
	is, err := journal.StderrIsJournalStream()
	return is && err == nil && w == os.Stderr
}

// journalHandler begins each line with its priority, which the journal takes off: <3> for errors, <4> for warnings, <6> for the rest.
type journalHandler struct{ errors, warnings, rest slog.Handler }

func newJournalHandler(w io.Writer, options *slog.HandlerOptions) journalHandler {
	with := func(priority string) slog.Handler { return slog.NewJSONHandler(prefixWriter{w, priority}, options) }
	return journalHandler{with("<3>"), with("<4>"), with("<6>")}
}

// Enabled implements [slog.Handler].
func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.rest.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Level >= slog.LevelError:
		return h.errors.Handle(ctx, r)
	case r.Level >= slog.LevelWarn:
		return h.warnings.Handle(ctx, r)
	}
	return h.rest.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h journalHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return journalHandler{h.errors.WithAttrs(attributes), h.warnings.WithAttrs(attributes), h.rest.WithAttrs(attributes)}
}

// WithGroup implements [slog.Handler].
func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.errors.WithGroup(name), h.warnings.WithGroup(name), h.rest.WithGroup(name)}
}

// prefixWriter writes each line with a prefix.
type prefixWriter struct {
	to     io.Writer
	prefix string
}

func (w prefixWriter) Write(line []byte) (int, error) {
	n, err := w.to.Write(append([]byte(w.prefix), line...))
	return max(0, n-len(w.prefix)), err
}
