package command

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer is written to by one goroutine and read by another. It can stall and fail.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	hold chan struct{} // nil, or closed when a Write may go on
}

func (b *buffer) Write(p []byte) (int, error) {
	if b.hold != nil {
		<-b.hold
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *buffer) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func noDrops(t *testing.T) func(int) {
	return func(lines int) { t.Errorf("%d lines were dropped", lines) }
}

// TestLog logs lines, and counts after each step how many are written.
func TestLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := new(buffer)
		log, closeLog := newLog(out, slog.LevelInfo, noDrops(t))
		written := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := strings.Count(out.String(), "\n"); got != want {
				t.Errorf("%s: %d lines are written, want %d:\n%s", when, got, want, out)
			}
		}
		log.Info("1")
		written("a single line", 1)
		log.Info("2")
		log.Info("3")
		written("lines right after it", 1)
		time.Sleep(logInterval)
		written("after an interval", 3)
		log.Info("4")
		log.Warn("5")
		written("a warning", 5)
		log.Info("6")
		log.With("name", "value").WithGroup("group").Error("7")
		written("an error of a derived log", 7)
		log.Info("8")
		written("a line right after it", 7)
		long := strings.Repeat("x", logBytes/2)
		log.Info(long)
		log.Info(long)
		written("many bytes", 10)
		log.Info("11")
		closeLog()
		written("at the end", 11)
		if level := slog.LevelDebug; log.Enabled(t.Context(), level) {
			t.Errorf("%v is logged", level)
		}
	})
}

// A reader that stalls holds up neither the requests nor the end of the server. The lines that it missed are counted, and
// reported once it reads again.
func TestStalledLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{hold: make(chan struct{})}
		dropped := 0
		log, closeLog := newLog(out, slog.LevelInfo, func(lines int) { dropped += lines })
		start := time.Now()
		line := strings.Repeat("x", 1<<10)
		for range 2 * maxPendingLog >> 10 {
			log.Info(line)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("the lines took %v", took)
		}
		if dropped < maxPendingLog>>11 {
			t.Errorf("%d lines were dropped", dropped)
		}
		close(out.hold)
		time.Sleep(2 * logInterval)
		synctest.Wait()
		if !strings.Contains(out.String(), `"msg":"log lines were dropped, because the log could not be written","lines":`) {
			t.Error("the log does not say that lines were dropped")
		}
		closeLog()
	})
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{hold: make(chan struct{})}
		log, closeLog := newLog(out, slog.LevelInfo, noDrops(t))
		log.Info("1")
		start := time.Now()
		closeLog()
		if took := time.Since(start); took != logCloseTimeout {
			t.Errorf("closing took %v", took)
		}
		close(out.hold)
	})
}

// A reader that leaves costs the lines that it does not read, and no more.
func TestBrokenLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, dropped := new(buffer), 0
		log, closeLog := newLog(out, slog.LevelInfo, func(lines int) { dropped += lines })
		out.fail(errors.New("broken pipe"))
		log.Warn("1")
		synctest.Wait()
		log.Warn("2")
		synctest.Wait()
		if dropped != 2 {
			t.Errorf("%d lines were dropped, want 2", dropped)
		}
		out.fail(nil)
		log.Warn("3")
		synctest.Wait()
		if got := out.String(); !strings.Contains(got, `"msg":"3"`) || !strings.Contains(got, `"lines":2`) {
			t.Errorf("the log has %s", got)
		}
		closeLog()
	})
}
