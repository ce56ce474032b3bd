// Package usage counts the requests of each key, for the plots of the dashboard.
//
// The access log of package api reports each request that a key was valid for. A Recorder counts them in memory and adds them to a
// Store every half minute, where the counts of all servers meet. A server that is killed loses the counts since then; nothing else
// rests on them. The metrics of package metrics are for the operator and know no keys; these counts are for the people of an
// organization.
package usage

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// Resolution is the length of the periods that counts are kept for.
type Resolution int

// The resolutions. Counts are kept in each of them.
const (
	Minute Resolution = iota
	Hour
	Day
)

// Resolutions returns every resolution.
func Resolutions() []Resolution { return []Resolution{Minute, Hour, Day} }

// Length returns the length of a period.
func (r Resolution) Length() time.Duration {
	return [...]time.Duration{time.Minute, time.Hour, 24 * time.Hour}[r]
}

// Kept returns how long counts are kept: twice as long as the dashboard shows, or a little more.
func (r Resolution) Kept() time.Duration {
	return [...]time.Duration{2 * time.Hour, 2 * 24 * time.Hour, 62 * 24 * time.Hour}[r]
}

// Start returns the beginning of the period that a time is in.
func (r Resolution) Start(at time.Time) time.Time { return at.UTC().Truncate(r.Length()) }

// LatencyBounds are the upper bounds of the buckets of Counts.Latency; the last bucket has none.
var LatencyBounds = [...]time.Duration{5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond}

// Counts are numbers of requests.
type Counts struct {
	Requests int64
	Rejected int64                         // with a 4xx, but for a 429
	Limited  int64                         // with a 429
	Failed   int64                         // with a 5xx
	Latency  [len(LatencyBounds) + 1]int64 // by how long they took
}

// Add adds other counts.
func (c *Counts) Add(other Counts) {
	c.Requests += other.Requests
	c.Rejected += other.Rejected
	c.Limited += other.Limited
	c.Failed += other.Failed
	for i, n := range other.Latency {
		c.Latency[i] += n
	}
}

// Row is what one key did in one period, by the contract's operationId.
type Row struct {
	Organization   int64
	At             time.Time // the beginning of the period
	Key, Operation string
	Counts
}

// Store keeps counts. It is safe for concurrent use.
type Store interface {
	// AddUsage adds counts to those of their periods, in every resolution. At is a minute.
	AddUsage(ctx context.Context, rows []Row) error

	// RemoveUsage removes counts of periods that have begun before a time: at most limit rows, the oldest first. It returns how many.
	RemoveUsage(ctx context.Context, r Resolution, before time.Time, limit int) (removed int, _ error)

	// Usage calls f for the counts of an organization in periods that have begun since a time, in no order.
	Usage(ctx context.Context, organization int64, r Resolution, since time.Time, f func(Row)) error
}

const (
	interval = 30 * time.Second // between two additions to the store
	piece    = 100              // rows that one call of the store adds, so that it delays no write for long

	removePiece = 500 // rows that one call removes

	maxCounts = 50_000          // keys and operations at once; those of further ones are not counted
	timeout   = 5 * time.Second // for one call of the store
)

// Recorder counts requests. It is safe for concurrent use.
type Recorder struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	counts map[place]*Counts

	failing atomic.Bool // the log has said why the store cannot be used

	stop, stopped chan struct{}
}

// place is where a request is counted.
type place struct {
	organization   int64
	minute         int64 // Unix seconds
	key, operation string
}

// NewRecorder returns a Recorder that adds to the store. now is the clock, time.Now outside of tests. Close it before the store.
func NewRecorder(store Store, now func() time.Time, log *slog.Logger) *Recorder {
	r := &Recorder{store: store, now: now, log: log, counts: map[place]*Counts{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	go r.run()
	return r
}

// Record counts a request, by the status of its response and how long that took.
func (r *Recorder) Record(key *apikey.Key, operation string, status int, took time.Duration) {
	at := place{key.Organization, Minute.Start(r.now()).Unix(), key.ID, operation}
	bucket, _ := slices.BinarySearch(LatencyBounds[:], took)
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.counts[at]
	if counts == nil {
		if len(r.counts) >= maxCounts {
			return
		}
		counts = new(Counts)
		r.counts[at] = counts
	}
	counts.Requests++
	counts.Latency[bucket]++
	switch {
	case status == 429:
		counts.Limited++
	case status >= 500:
		counts.Failed++
	case status >= 400:
		counts.Rejected++
	}
}

// Close adds what is counted to the store, and stops.
func (r *Recorder) Close() {
	close(r.stop)
	<-r.stopped
}

func (r *Recorder) run() {
	defer close(r.stopped)
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			r.Flush()
			r.removeOld()
		case <-r.stop:
			r.Flush()
			return
		}
	}
}

// Flush adds what is counted to the store. What the store does not take is kept for the next time.
func (r *Recorder) Flush() {
	r.mu.Lock()
	counts := r.counts
	r.counts = map[place]*Counts{}
	r.mu.Unlock()
	var rows []Row
	for at, counts := range counts {
		rows = append(rows, Row{at.organization, time.Unix(at.minute, 0).UTC(), at.key, at.operation, *counts})
	}
	for some := range slices.Chunk(rows, piece) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		err := r.store.AddUsage(ctx, some)
		cancel()
		r.report("the use of keys is not recorded yet", err)
		if err != nil {
			r.putBack(counts)
			return
		}
		for _, row := range some {
			delete(counts, place{row.Organization, row.At.Unix(), row.Key, row.Operation})
		}
	}
}

// putBack counts again what could not be saved.
func (r *Recorder) putBack(counts map[place]*Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, counts := range counts {
		if now := r.counts[at]; now != nil {
			now.Add(*counts)
		} else if len(r.counts) < maxCounts {
			r.counts[at] = counts
		}
	}
}

// removeOld removes what is kept long enough, in pieces. Every server may do so.
func (r *Recorder) removeOld() {
	for _, resolution := range Resolutions() {
		before := resolution.Start(r.now().Add(-resolution.Kept()))
		for removed := removePiece; removed == removePiece && !r.stopping(); {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			var err error
			removed, err = r.store.RemoveUsage(ctx, resolution, before, removePiece)
			cancel()
			r.report("old counts of the use of keys are not removed yet", err)
			if err != nil {
				return
			}
		}
	}
}

// report logs the first of several errors in a row: while the database is away, the log says so elsewhere.
func (r *Recorder) report(message string, err error) {
	if err == nil {
		r.failing.Store(false)
	} else if !r.failing.Swap(true) {
		r.log.Warn(message, "error", err)
	}
}

func (r *Recorder) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}
