package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
)

// disk is a sink whose calls can be made to fail or to wait.
type disk struct {
	mu       sync.Mutex
	text     bytes.Buffer
	writeErr error
	syncErr  error
	syncs    int
	syncing  func() // called by each sync, if not nil
}

func (d *disk) write(lines []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writeErr == nil {
		d.text.Write(lines)
	}
	return d.writeErr
}

func (d *disk) sync() error {
	d.mu.Lock()
	d.syncs++
	syncing, err := d.syncing, d.syncErr
	d.mu.Unlock()
	if syncing != nil {
		syncing()
	}
	return err
}

func (d *disk) close() error { return nil }

func (d *disk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writeErr, d.syncErr = write, sync
}

func (d *disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func options() Options {
	return Options{Failed: func() {}, Lost: func(int) {}, Log: slog.New(slog.DiscardHandler)}
}

// TestSyncsAreShared records changes while a sync is in flight: the next sync is that of all of them.
func TestSyncsAreShared(t *testing.T) {
	t.Parallel()
	const changes = 100
	d, first, release := &disk{}, make(chan struct{}), make(chan struct{})
	d.syncing = sync.OnceFunc(func() { close(first); <-release })
	trail := newTrail(d, options())
	var wait sync.WaitGroup
	record := func() {
		if err := trail.RecordDurably(t.Context(), Entry{Operation: "update"}); err != nil {
			t.Error(err)
		}
	}
	wait.Go(record)
	<-first
	for range changes {
		wait.Go(record)
	}
	await.State(t, "the changes wait", func() bool { return trail.durable.Queued() == changes })
	close(release)
	wait.Wait()
	if d.syncs != 2 || strings.Count(d.String(), "\n") != changes+1 {
		t.Errorf("%d syncs for %d lines, want 2 for %d", d.syncs, strings.Count(d.String(), "\n"), changes+1)
	}
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadsAreSynced records a read while a sync is in flight, which it does not wait for, and waits for its own.
func TestReadsAreSynced(t *testing.T) {
	t.Parallel()
	d, first, release := &disk{}, make(chan struct{}), make(chan struct{})
	d.syncing = sync.OnceFunc(func() { close(first); <-release })
	trail := newTrail(d, options())
	var change sync.WaitGroup
	change.Go(func() {
		if err := trail.RecordDurably(t.Context(), Entry{Operation: "update"}); err != nil {
			t.Error(err)
		}
	})
	<-first
	if err := trail.Record(t.Context(), Entry{Operation: "read"}); err != nil || !strings.Contains(d.String(), "read") {
		t.Errorf("%v; the trail is %q", err, d)
	}
	close(release)
	change.Wait()
	await.State(t, "another sync", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.syncs > 1 })
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}

// TestOutage has writes or syncs fail. Nothing is recorded until the trail can be written again; then come the lines that it owes.
func TestOutage(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	for name, errs := range map[string][2]error{"write": {broken, nil}, "sync": {nil, broken}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, o, failed := &disk{}, options(), atomic.Int64{}
			o.Failed = func() { failed.Add(1) }
			trail := newTrail(d, o)
			d.fail(errs[0], errs[1])
			if err := trail.RecordDurably(t.Context(), Entry{Operation: "update", Status: 200}); !errors.Is(err, broken) {
				t.Errorf("a change: %v, want %v", err, broken)
			}
			trail.Owe(Entry{Operation: "update", Status: 503})
			d.fail(broken, broken)
			if err := trail.Record(t.Context(), Entry{Operation: "read"}); !errors.Is(err, broken) || !errors.Is(trail.Err(), broken) {
				t.Errorf("a read: %v, Err %v; want %v", err, trail.Err(), broken)
			}
			await.State(t, "another attempt", func() bool { return failed.Load() > 1 })
			d.fail(nil, nil)
			await.State(t, "the end of the outage", func() bool { return trail.Err() == nil })
			if err := trail.Record(t.Context(), Entry{Operation: "later"}); err != nil {
				t.Error(err)
			}
			text := d.String()
			owed, gap, later := strings.Index(text, `"status":503`), strings.Index(text, resumed), strings.Index(text, "later")
			if owed < 0 || owed > gap || gap > later || strings.Contains(text, "read") {
				t.Errorf("the trail is\n%s", text)
			}
			if err := trail.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestContinue loses lines, and says how many.
func TestContinue(t *testing.T) {
	t.Parallel()
	d, o, lost := &disk{}, options(), atomic.Int64{}
	o.Continue, o.Lost = true, func(lines int) { lost.Add(int64(lines)) }
	trail := newTrail(d, o)
	d.fail(errors.New("the disk is full"), nil)
	for range 3 {
		if err := trail.RecordDurably(t.Context(), Entry{}); err != nil || trail.Err() != nil {
			t.Error(err, trail.Err())
		}
	}
	d.fail(nil, nil)
	await.State(t, "the end of the outage", func() bool { return trail.failure() == nil })
	if lost.Load() != 3 || !strings.Contains(d.String(), `"lost":3`) {
		t.Errorf("%d lines lost, want 3; the trail is\n%s", lost.Load(), d)
	}
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}

// TestCallerLeaves records an entry although its caller has left.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	d := &disk{}
	trail := newTrail(d, options())
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := trail.RecordDurably(ctx, Entry{Operation: "update"}); err != nil || !strings.Contains(d.String(), "update") {
		t.Errorf("%v; the trail is %q", err, d)
	}
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}

// TestIncompleteLine appends to a file that a crash has left with half of a line.
func TestIncompleteLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"time":"2026-0`), 0o600); err != nil {
		t.Fatal(err)
	}
	trail, err := Open(path, options())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(trail.Record(t.Context(), Entry{Operation: "first"}), trail.Close())
	file, openErr := os.Open(path)
	if err = errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var found []string
	damaged, err := Read(file, func(_ []byte, e *Entry) error { found = append(found, e.Operation); return nil })
	if err != nil || damaged != 1 || len(found) != 1 || found[0] != "first" {
		t.Errorf("found %q, %d damaged lines, %v", found, damaged, err)
	}
}

// TestHangingDisk records a change on a disk that hangs: an outage begins, which ends by itself.
func TestHangingDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		goesOn := make(chan struct{})
		d := &disk{syncing: func() { <-goesOn }}
		trail := newTrail(d, options())
		defer trail.Close()
		start := time.Now()
		if err := trail.RecordDurably(t.Context(), Entry{Operation: "change"}); !errors.Is(err, errSlow) || !errors.Is(trail.Err(), errSlow) || time.Since(start) != patience {
			t.Errorf("a change: %v after %v; the trail: %v", err, time.Since(start), trail.Err())
		}
		if err := trail.Record(t.Context(), Entry{Operation: "read"}); !errors.Is(err, errSlow) {
			t.Errorf("a read during the outage: %v", err)
		}
		close(goesOn)
		time.Sleep(2 * interval)
		if err := errors.Join(trail.Err(), trail.Record(t.Context(), Entry{Operation: "later"})); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if text := d.String(); strings.Count(text, `"change"`) != 1 || strings.Count(text, resumed) != 1 || !strings.Contains(text, `"later"`) {
			t.Errorf("the trail has\n%s", text)
		}
	})
}

// TestOpenErrors names paths that cannot be a trail.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none", "audit.log"), os.DevNull} {
		if trail, err := Open(path, options()); err == nil {
			t.Errorf("%s is a trail", path)
			trail.Close()
		}
	}
}
