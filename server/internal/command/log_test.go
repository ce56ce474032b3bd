package command

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// buffer is written to by one goroutine and read by another.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestLog logs lines and looks, after each step, at how many are written.
func TestLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := new(buffer)
		log, flush := newLog(out)
		written := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := strings.Count(out.String(), "\n"); got != want {
				t.Errorf("%s: %d lines are written, want %d:\n%s", when, got, want, out)
			}
		}
		log.Info("1")
		written("a line that comes alone", 1)
		log.Info("2")
		log.Info("3")
		written("lines right behind it", 1)
		time.Sleep(logInterval)
		written("a while later", 3)
		log.Info("4")
		log.Warn("5")
		written("trouble", 5)
		log.Info("6")
		log.With("name", "value").WithGroup("group").Error("7")
		written("trouble of a derived log", 7)
		log.Info("8")
		flush()
		written("at the end", 8)
		time.Sleep(logInterval) // the timer finds nothing
		long := strings.Repeat("x", logBytes/4)
		log.Info("9")
		written("alone again", 9)
		for range 3 {
			log.Info(long)
		}
		written("some long lines", 9)
		log.Info(long)
		written("as much as is gathered", 13)
		var n int
		for line := range strings.Lines(out.String()) {
			if n++; n <= 9 && !strings.Contains(line, `"msg":"`+string(rune('0'+n))+`"`) {
				t.Errorf("line %d is %s", n, line)
			}
		}
		if level := slog.LevelDebug; log.Enabled(t.Context(), level) {
			t.Errorf("%v is logged", level)
		}
	})
}
