package usage_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/go-cmp/cmp"
)

// store fails as many times as fails says.
type store struct {
	mu    sync.Mutex
	fails int
	rows  []usage.Row
}

func (s *store) AddUsage(_ context.Context, rows []usage.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return errors.New("away")
	}
	s.rows = append(s.rows, rows...)
	return nil
}

func (s *store) RemoveUsage(context.Context, usage.Resolution, time.Time, int) (int, error) {
	return 0, nil
}

func (s *store) Usage(context.Context, int64, usage.Resolution, time.Time, func(usage.Row)) error {
	return nil
}

// TestRecorder counts requests of each outcome, while the store is away.
func TestRecorder(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 17, 19, 7, 23, 0, time.UTC)
	s := &store{fails: 2}
	var log strings.Builder
	r := usage.NewRecorder(s, func() time.Time { return at }, slog.New(slog.NewTextHandler(&log, nil)))
	key := &apikey.Key{ID: "key_a", Organization: 7}
	for _, request := range []struct {
		status int
		took   time.Duration
	}{{200, 5 * time.Millisecond}, {404, 6 * time.Millisecond}, {429, 0}, {503, time.Minute}} {
		r.Record(key, "read", request.status, request.took)
	}
	r.Flush() // which fails
	r.Flush() // and again
	if n := strings.Count(log.String(), "the use of keys is not recorded yet"); n != 1 {
		t.Errorf("%d lines say that nothing is recorded, want 1:\n%s", n, log.String())
	}
	r.Record(key, "read", 200, 0)
	r.Close()
	want := []usage.Row{{Organization: 7, At: at.Truncate(time.Minute), Key: "key_a", Operation: "read", Counts: usage.Counts{
		Requests: 5, Rejected: 1, Limited: 1, Failed: 1, Latency: [6]int64{3, 1, 0, 0, 0, 1},
	}}}
	if diff := cmp.Diff(want, s.rows); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := usage.NewRecorder(&store{}, time.Now, slog.New(slog.DiscardHandler))
	defer r.Close()
	key := &apikey.Key{ID: "key_a", Organization: 7}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Record(key, "read", 200, time.Millisecond)
		}
	})
}
