package audit

import (
	"bytes"
	"context"
	"errors"
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

	// patience is how long a line may take. A disk that hangs counts as one that fails.
	patience = 5 * time.Second
)

// Options configure a Trail. Every field but Continue is required.
type Options struct {
	Continue bool            // count lines that cannot be written as lost, instead of returning an error
	Failed   func()          // called for each write or sync that fails
	Lost     func(lines int) // called for lines that are lost
	Log      *slog.Logger
}

// Trail writes lines. It is safe for concurrent use. Open and New return one.
type Trail struct {
	o     Options
	lines *batch.Batch[[]byte, struct{}]
	syncs *batch.Batch[struct{}, struct{}]

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
	t.lines = batch.New(t.writeLines, batch.Options{})
	t.syncs = batch.New(t.syncLines, batch.Options{})
	go t.keep()
	return t
}

// Err returns why requests are to be refused: the error of the last line, until one can be written again. With Continue it is nil, and
// so it is without a Trail.
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

// Record returns once the entry is in the file. A caller that leaves does not stop it. An error says that it may not be; with Continue
// there is none.
func (t *Trail) Record(ctx context.Context, e Entry) error {
	return t.record(ctx, e, false)
}

// RecordDurably is like Record, and returns once the entry is on disk.
func (t *Trail) RecordDurably(ctx context.Context, e Entry) error {
	return t.record(ctx, e, true)
}

// Owe keeps an entry in memory until it can be written. It is for a change whose RecordDurably has failed.
func (t *Trail) Owe(e Entry) {
	line, err := e.line()
	if err != nil {
		return // as RecordDurably has reported
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
	t.maintain()
	t.syncs.Close()
	return errors.Join(t.failure(), t.to.close())
}

func (t *Trail) record(ctx context.Context, e Entry, durable bool) error {
	line, err := e.line()
	if err == nil {
		err = t.save(ctx, line, durable)
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

func (t *Trail) save(ctx context.Context, line []byte, durable bool) error {
	if err := t.failure(); err != nil {
		return err
	}
	before := t.failures.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := t.lines.Do(ctx, line)
	switch {
	case err == nil && !durable:
		t.unsynced.Store(true)
	case err == nil:
		_, err = t.syncs.Do(ctx, struct{}{})
		if err == nil && t.failures.Load() != before {
			err = errUncertain
		}
	}
	if errors.Is(err, batch.ErrAbandoned) {
		t.fail(err)
	}
	return err
}

var errUncertain = errors.New("audit: another line failed at the same time")

// writeLines is a run of the batch of lines.
func (t *Trail) writeLines(lines [][]byte) []batch.Result[struct{}] {
	t.writing.Lock()
	defer t.writing.Unlock()
	err := t.failure()
	if err == nil {
		if err = t.to.write(bytes.Join(lines, nil)); err != nil {
			t.fail(err)
		}
	}
	return everyones(err, len(lines))
}

// syncLines is a run of the batch of syncs.
func (t *Trail) syncLines(callers []struct{}) []batch.Result[struct{}] {
	err := t.to.sync()
	if err != nil {
		t.fail(err)
	}
	return everyones(err, len(callers))
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
		t.syncs.Do(context.Background(), struct{}{}) // a failure begins an outage
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
		gap, err := Entry{Operation: resumed, Since: outage.since.UTC().Format(wire.TimeFormat), Lost: lost}.line()
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
