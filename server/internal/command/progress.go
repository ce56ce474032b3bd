package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// quietInterval is the time between two lines of progress if there is no terminal.
const quietInterval = 10 * time.Second

// progress shows on a terminal how far a piece of work is, how fast, and how long the rest will take. Elsewhere it says so in a line
// from time to time, and nothing of what is done quickly.
type progress struct {
	out io.Writer

	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil: lines are written
	doing string                   // empty: nothing is shown
	size  int64
	done  int64
	begun time.Time
	told  time.Time
}

// beginFile shows the work on all of a file.
func (p *progress) beginFile(doing string, file *os.File) {
	if info, err := file.Stat(); err == nil {
		p.beginSize(doing, info.Size())
	}
}

// beginSize shows the work on so many bytes.
func (p *progress) beginSize(doing string, size int64) {
	p.beginUnits(doing, size, progressbar.OptionShowBytes(true))
}

// beginRows shows the work on so many rows.
func (p *progress) beginRows(doing string, rows int64) {
	p.beginUnits(doing, rows, progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"))
}

func (p *progress) beginUnits(doing string, size int64, unit ...progressbar.Option) {
	if size == 0 {
		return
	}
	now := time.Now()
	p.doing, p.size, p.done, p.begun, p.told = doing, size, 0, now, now
	if !isTerminal(p.out) {
		return
	}
	p.bar = progressbar.NewOptions64(p.size, append(unit, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(doing),
		progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())...)
}

// add reports that n more bytes or rows are done.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(p.done + n)
}

// reach reports that so many bytes or rows are done in all.
func (p *progress) reach(done int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(done)
}

func (p *progress) show(done int64) {
	p.done = done
	if p.bar != nil {
		p.bar.Set64(done)
	} else if now := time.Now(); p.doing != "" && p.done > 0 && now.Sub(p.told) >= quietInterval {
		p.told = now
		took := now.Sub(p.begun)
		left := time.Duration(float64(took) / float64(p.done) * float64(max(0, p.size-p.done)))
		fmt.Fprintf(p.out, "%s: %d %% after %v, about %v left\n", p.doing, 100*p.done/p.size, took.Round(time.Second), left.Round(time.Second))
	}
}

// printf prints in place of the bar, which comes back under it.
func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintf(p.out, format, args...)
}

// end removes the bar, and ends the lines.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing = ""
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}
