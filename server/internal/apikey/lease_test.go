package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// store has buckets in memory. A call takes 2 milliseconds.
type store struct {
	mu      sync.Mutex
	away    bool
	buckets map[string]*bucket
	calls   int
}

type bucket struct {
	tokens float64
	at     time.Time
}

func (s *store) DrawTokens(ctx context.Context, draws []apikey.Draw) (map[string]apikey.Grant, error) {
	time.Sleep(2 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.away {
		return nil, errors.New("away")
	}
	grants := map[string]apikey.Grant{}
	for _, d := range draws {
		b, limit := s.bucket(d.KeyID, d.RateLimit), float64(d.RateLimit)
		b.tokens = min(limit, b.tokens-float64(d.Owed))
		granted := max(0, min(float64(d.Wanted), math.Floor((b.tokens+1)/2)))
		b.tokens -= granted
		grants[d.KeyID] = apikey.Grant{Tokens: int(granted), Left: b.tokens}
	}
	return grants, nil
}

// bucket returns a bucket, refilled.
func (s *store) bucket(key string, limit int) *bucket {
	b := s.buckets[key]
	if b == nil {
		b = &bucket{tokens: float64(limit), at: time.Now()}
		s.buckets[key] = b
	}
	b.tokens, b.at = min(float64(limit), b.tokens+time.Since(b.at).Minutes()*float64(limit)), time.Now()
	return b
}

// left returns what is in a bucket.
func (s *store) left(key *apikey.Key) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bucket(key.ID, key.RateLimit).tokens
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *store) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// inFleet runs a test with three limiters that share a store.
func inFleet(t *testing.T, test func(*testing.T, *store, []*apikey.Limiter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &store{buckets: map[string]*bucket{}}
		var fleet []*apikey.Limiter
		for range 3 {
			l := apikey.NewSharedLimiter(s, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
			defer l.Close()
			fleet = append(fleet, l)
		}
		test(t, s, fleet)
	})
}

// send uses a key at an even rate for some time, and returns how often it was allowed.
func send(l *apikey.Limiter, key *apikey.Key, perSecond float64, period time.Duration) (allowed int) {
	pause := time.Duration(float64(time.Second) / perSecond)
	for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(pause) {
		if l.Allow(context.Background(), key).Allowed {
			allowed++
		}
	}
	return allowed
}

// TestFleetLimit sends more than a key's limit allows, through three processes: together they allow the limit, however it is shared.
func TestFleetLimit(t *testing.T) {
	for _, c := range []struct {
		limit  int
		rates  []float64 // of the requests at each, a second
		period time.Duration
	}{
		{60, []float64{5, 5, 5}, time.Minute},
		{60, []float64{50, 50, 50}, 10 * time.Second},
		{60, []float64{50, 0.5, 0.5}, time.Minute},
		{600, []float64{20, 20, 20}, time.Minute},
		{600, []float64{500, 500, 500}, 5 * time.Second},
		{600, []float64{200, 20, 2}, time.Minute},
		{6000, []float64{500, 500, 500}, 10 * time.Second},
		{6000, []float64{1000, 10, 10}, 30 * time.Second},
		{30, []float64{2, 2, 2}, time.Minute},
	} {
		t.Run(fmt.Sprint(c.limit, c.rates, c.period), func(t *testing.T) {
			inFleet(t, func(t *testing.T, s *store, fleet []*apikey.Limiter) {
				key := &apikey.Key{ID: "key_1", RateLimit: c.limit}
				allowed := make([]int, len(fleet))
				var all sync.WaitGroup
				for i, l := range fleet {
					all.Go(func() { allowed[i] = send(l, key, c.rates[i], c.period) })
				}
				all.Wait()
				got, want := allowed[0]+allowed[1]+allowed[2], float64(c.limit)*(1+c.period.Minutes())
				t.Logf("%d of %.0f allowed: %v; %.1f calls of the store a second", got, want, allowed, float64(s.count())/c.period.Seconds())
				if math.Abs(float64(got)-want) > want/10 {
					t.Errorf("%v allowed, %d in all, want %.0f", allowed, got, want)
				}
				if most := 60 * c.period.Seconds(); float64(s.count()) > most {
					t.Errorf("%d calls of the store, want at most %.0f", s.count(), most)
				}
			})
		})
	}
}

// TestFleetBelowLimit sends as much as the limit allows: nothing is rejected, wherever it goes.
func TestFleetBelowLimit(t *testing.T) {
	for _, limit := range []int{30, 60, 600, 6000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			inFleet(t, func(t *testing.T, s *store, fleet []*apikey.Limiter) {
				key := &apikey.Key{ID: "key_1", RateLimit: limit}
				const minutes = 3
				for n := range minutes * limit {
					if a := fleet[n%3].Allow(t.Context(), key); !a.Allowed {
						t.Fatalf("request %d is rejected: %+v", n, a)
					}
					time.Sleep(time.Minute / time.Duration(limit))
				}
				t.Logf("%.2f calls of the store a request", float64(s.count())/float64(minutes*limit))
			})
		})
	}
}

// TestFleetBurst uses all of a limit at once, through one process, and through three: all of it is allowed.
func TestFleetBurst(t *testing.T) {
	for _, processes := range []int{1, 3} {
		for _, limit := range []int{1, 2, 7, 60, 600} {
			t.Run(fmt.Sprint(processes, limit), func(t *testing.T) {
				inFleet(t, func(t *testing.T, s *store, fleet []*apikey.Limiter) {
					key := &apikey.Key{ID: "key_1", RateLimit: limit}
					results := make(chan apikey.Allowance, 2*limit)
					var all sync.WaitGroup
					for n := range 2 * limit {
						all.Go(func() { results <- fleet[n%processes].Allow(t.Context(), key) })
					}
					all.Wait()
					close(results)
					allowed := 0
					for a := range results {
						if a.Allowed {
							allowed++
						} else if a.RetryAfter < time.Second || a.RetryAfter > time.Minute {
							t.Errorf("rejected: %+v", a)
						}
					}
					if math.Abs(float64(allowed-limit)) > float64(limit)/10 {
						t.Errorf("%d allowed", allowed)
					}
				})
			})
		}
	}
}

// TestFleetRemaining has one process use a key: it knows what is left.
func TestFleetRemaining(t *testing.T) {
	inFleet(t, func(t *testing.T, _ *store, fleet []*apikey.Limiter) {
		key := &apikey.Key{ID: "key_1", RateLimit: 60}
		for n := range 60 {
			a := fleet[0].Allow(t.Context(), key)
			if want := 59 - n; !a.Allowed || a.Remaining < want-1 || a.Remaining > want+1 || a.Full < time.Duration(n)*time.Second {
				t.Errorf("use %d: %+v, want %d left", n, a, want)
			}
		}
	})
}

// TestFleetIdleKeys uses many keys once: they share calls of the store, all tokens come back, and then nothing happens.
func TestFleetIdleKeys(t *testing.T) {
	const keys = 20_000
	inFleet(t, func(t *testing.T, s *store, fleet []*apikey.Limiter) {
		key := &apikey.Key{RateLimit: 60}
		for n := range keys {
			key.ID = fmt.Sprint("key_", n)
			if !fleet[n%3].Allow(t.Context(), key).Allowed {
				t.Fatal("rejected")
			}
		}
		time.Sleep(10 * time.Second)
		t.Logf("%d calls of the store", s.count())
		if calls := s.count(); calls > 2*keys/1000 {
			t.Errorf("%d calls of the store for %d keys", calls, keys)
		}
		before := s.count()
		time.Sleep(time.Hour)
		if s.count() != before {
			t.Errorf("%d calls of the store for idle keys", s.count()-before)
		}
		for _, l := range fleet {
			if n := l.Leases(); n != 0 {
				t.Errorf("%d leases of idle keys", n)
			}
		}
	})
}

// TestFleetTokensComeBack has a process draw tokens that it does not use.
func TestFleetTokensComeBack(t *testing.T) {
	for name, give := range map[string]func(*apikey.Limiter){
		"after the term": func(*apikey.Limiter) { time.Sleep(4 * time.Second) },
		"at the end":     (*apikey.Limiter).Close,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{buckets: map[string]*bucket{}}
				l := apikey.NewSharedLimiter(s, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
				key := &apikey.Key{ID: "key_1", RateLimit: 20} // too low a limit for a use without a draw
				l.Allow(t.Context(), key)
				held := 20 - 1 - s.left(key)
				give(l)
				lost := 20 - 1 - s.left(key)
				if held < 1 || lost > 1e-6 {
					t.Errorf("%v tokens were held, and %v did not come back", held, lost)
				}
				if name != "at the end" {
					l.Close()
				}
			})
		})
	}
}

// TestFleetWithoutStore has the store go away and come back: in between, each process limits alone.
func TestFleetWithoutStore(t *testing.T) {
	inFleet(t, func(t *testing.T, s *store, fleet []*apikey.Limiter) {
		var log strings.Builder
		l := apikey.NewSharedLimiter(s, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		defer l.Close()
		fleet = append(fleet, l)
		key := &apikey.Key{ID: "key_1", RateLimit: 60}
		s.setAway(true)
		for i, l := range fleet {
			if got := send(l, key, 100, time.Second); got < 59 || got > 63 {
				t.Errorf("process %d allows %d alone", i, got)
			}
		}
		s.setAway(false)
		time.Sleep(time.Minute)
		total := 0
		for _, l := range fleet {
			total += send(l, key, 100, time.Second)
		}
		if total < 57 || total > 70 {
			t.Errorf("%d allowed when the store is back", total)
		}
		if n := strings.Count(log.String(), "this server limits the use of keys alone"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
	})
}
