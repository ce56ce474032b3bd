package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/wire"
)

const (
	// interval is how often lines of reads are synced, and how often a trail that failed tries again.
	interval = time.Second

	// patience is how long a line may take. A disk that hangs counts as one that fails: otherwise each change would be committed,
	// and its caller would learn only that the outcome is unknown.
	patience = 5 * time.Second
)

var errSlow = fmt.Errorf("audit: a line was not written within %v", patience)

// Options configure a Trail. Every field but Continue is required.
type Options struct {
	Continue bool            // count lines that cannot be written as lost, instead of returning an error
	Failed   func()          // called for each write or sync that fails
	Lost     func(lines int) // called for lines that are lost
	Log      *slog.Logger
}

// Trail writes lines. It is safe for concurrent use. Open and New return one.
type Trail struct {
	o       Options
	lines   *batch.Batch[[]byte, struct{}] // of Record
	durable *batch.Batch[[]byte, struct{}] // of RecordDurably; each run syncs once

	failures atomic.Int64           // of writes and syncs
	broken   atomic.Pointer[outage] // nil while lines can be written
	unsynced atomic.Bool            // there are lines that nobody has synced

	writing sync.Mutex // held while lines are written
	to      sink

	mu   sync.Mutex
	owed [][]byte
	lost int64 // in the current outage

	closing, stopped chan struct{}
}

// outage is a time in which no line can be written.
type outage struct {
	err   error
	since time.Time
}

// sink is where lines go. One goroutine at a time calls write; sync can run next to it.
type sink interface {
	write(lines []byte) error // after an error, the next call starts a new line
	sync() error              // makes durable what was written before the call
	close() error
}

// Open returns a Trail that appends to a file, and creates it if there is none. Other processes can append to it, too. When the file is
// moved away, the next line goes into a new one.
func Open(path string, o Options) (*Trail, error) {
	f := &file{path: path}
	if _, err := f.follow(); err != nil {
		return nil, err
	}
	return newTrail(f, o), nil
}

// New returns a Trail that writes to w, and syncs nothing.
func New(w io.Writer, o Options) *Trail { return newTrail(stream{w}, o) }

func newTrail(to sink, o Options) *Trail {
	t := &Trail{o: o, to: to, closing: make(chan struct{}), stopped: make(chan struct{})}
	t.lines = batch.New(t.runLines, batch.Options{})
	t.durable = batch.New(t.runDurable, batch.Options{})
	go t.keep()
	return t
}

// Path returns the path of the file that the trail appends to, or "" if there is none.
func (t *Trail) Path() string {
	if t == nil {
		return ""
	}
	if f, ok := t.to.(*file); ok {
		return f.path
	}
	return ""
}

// Err returns why requests are to be refused: the error of the last line, until one can be written again. It is nil with Continue,
// and without a Trail.
func (t *Trail) Err() error {
	if t == nil || t.o.Continue {
		return nil
	}
	return t.failure()
}

func (t *Trail) failure() error {
	if outage := t.broken.Load(); outage != nil {
		return outage.err
	}
	return nil
}

// Record returns once the entry is in the file. Canceling ctx does not stop it. With an error, the entry may be
// missing; with Continue there is no error.
func (t *Trail) Record(ctx context.Context, e Entry) error {
	return t.record(ctx, t.lines, e)
}

// RecordDurably is like Record, and returns once the entry is on disk.
func (t *Trail) RecordDurably(ctx context.Context, e Entry) error {
	return t.record(ctx, t.durable, e)
}

// Owe keeps an entry in memory until it can be written. It is for a change whose RecordDurably has failed.
func (t *Trail) Owe(e Entry) {
	line, err := e.line()
	if err != nil {
		return // RecordDurably has reported it
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owed = append(t.owed, line) // no more than there were changes in flight: later ones are refused
}

// Close writes what the trail owes, syncs it, and returns an error if that fails.
func (t *Trail) Close() error {
	close(t.closing)
	<-t.stopped
	t.lines.Close()
	t.durable.Close()
	t.maintain()
	return errors.Join(t.failure(), t.to.close())
}

func (t *Trail) record(ctx context.Context, by *batch.Batch[[]byte, struct{}], e Entry) error {
	line, err := e.line()
	if err == nil {
		err = t.save(ctx, by, line)
	}
	if err == nil || !t.o.Continue {
		return err
	}
	t.o.Lost(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost++
	return nil
}

func (t *Trail) save(ctx context.Context, by *batch.Batch[[]byte, struct{}], line []byte) error {
	if err := t.failure(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := by.Do(ctx, line)
	if errors.Is(err, batch.ErrAbandoned) {
		err = errSlow
		t.fail(err)
	}
	return err
}

// runLines is a run of the batch of lines that need no sync.
func (t *Trail) runLines(lines [][]byte) []batch.Result[struct{}] {
	err := t.write(lines)
	t.unsynced.Store(true)
	return everyones(err, len(lines))
}

// runDurable is a run of the batch of lines that do.
func (t *Trail) runDurable(lines [][]byte) []batch.Result[struct{}] {
	before := t.failures.Load()
	err := t.write(lines)
	if err == nil {
		err = t.sync()
	}
	if err == nil && t.failures.Load() != before {
		err = errUncertain
	}
	return everyones(err, len(lines))
}

var errUncertain = errors.New("audit: another line failed at the same time")

func (t *Trail) write(lines [][]byte) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if err := t.failure(); err != nil {
		return err
	}
	err := t.to.write(bytes.Join(lines, nil))
	if err != nil {
		t.fail(err)
	}
	return err
}

func (t *Trail) sync() error {
	err := t.to.sync()
	if err != nil {
		t.fail(err)
	}
	return err
}

func everyones(err error, callers int) []batch.Result[struct{}] {
	results := make([]batch.Result[struct{}], callers)
	for i := range results {
		results[i].Err = err
	}
	return results
}

// fail begins an outage.
func (t *Trail) fail(err error) {
	t.failures.Add(1)
	t.o.Failed()
	if t.broken.CompareAndSwap(nil, &outage{err, time.Now()}) {
		t.o.Log.Error("the audit trail cannot be written", "error", err, "continue", t.o.Continue)
	}
}

// keep maintains the trail until it is closed.
func (t *Trail) keep() {
	defer close(t.stopped)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.maintain()
		case <-t.closing:
			return
		}
	}
}

func (t *Trail) maintain() {
	t.mu.Lock()
	owes := len(t.owed) > 0
	t.mu.Unlock()
	if owes || t.broken.Load() != nil {
		t.resume()
	} else if t.unsynced.Swap(false) {
		t.sync() // a failure begins an outage
	}
}

// resume writes what the trail owes, and ends an outage if that succeeds.
func (t *Trail) resume() {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	owed, lost := t.owed, t.lost
	t.mu.Unlock()
	lines := bytes.Join(owed, nil)
	outage := t.broken.Load()
	if outage != nil {
		e := Entry{Operation: resumed, Since: outage.since.UTC().Format(wire.TimeFormat), Lost: lost}
		gap, err := e.line()
		if err != nil { // its fields are plain
			panic(err)
		}
		lines = append(lines, gap...)
	}
	err := t.to.write(lines)
	if err == nil {
		err = t.to.sync()
	}
	if err != nil {
		t.fail(err)
		return
	}
	t.mu.Lock()
	t.owed, t.lost = t.owed[len(owed):], t.lost-lost
	t.mu.Unlock()
	if t.broken.CompareAndSwap(outage, nil) && outage != nil {
		t.o.Log.Info("the audit trail is written again", "owed", len(owed), "lost", lost)
	}
}
