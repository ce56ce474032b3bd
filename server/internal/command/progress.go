package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress reads a file and shows on a terminal how far it is, how fast, and how long the rest will take. Elsewhere it
// shows nothing.
type progress struct {
	file *os.File
	out  io.Writer

	mu  sync.Mutex
	bar *progressbar.ProgressBar // nil: nothing is shown
}

// begin shows a bar for the reading of the whole file.
func (p *progress) begin(doing string) {
	info, err := p.file.Stat()
	if err != nil || info.Size() == 0 || !isTerminal(p.out) {
		return
	}
	p.bar = progressbar.NewOptions64(info.Size(), progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(doing),
		progressbar.OptionShowBytes(true), progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// Read reads from the file.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Add(n)
	}
	return n, err
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

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}
