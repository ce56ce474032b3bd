package apikey_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// clock is a clock that the test moves.
type clock struct{ now time.Time }

func newLimiter() (*apikey.Limiter, *clock) {
	c := &clock{time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)}
	return apikey.NewLimiter(func() time.Time { return c.now }), c
}

func (c *clock) wait(d time.Duration) { c.now = c.now.Add(d) }

// allowed returns how often the key is allowed before it is rejected, and for how long.
func allowed(l *apikey.Limiter, key *apikey.Key) (n int, retryAfter time.Duration) {
	for {
		a := l.Allow(context.Background(), key)
		if !a.Allowed {
			return n, a.RetryAfter
		}
		n++
	}
}

func wantAllowed(t *testing.T, l *apikey.Limiter, key *apikey.Key, n int, retryAfter time.Duration) {
	t.Helper()
	if gotN, gotRetry := allowed(l, key); gotN != n || gotRetry != retryAfter {
		t.Fatalf("%d allowed, then to wait %v; want %d, %v", gotN, gotRetry, n, retryAfter)
	}
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		limit      int
		retryAfter time.Duration // when all is used up
		pause      time.Duration
		refilled   int // after the pause
	}{
		{limit: 60, retryAfter: time.Second, pause: time.Second, refilled: 1},
		{limit: 60, retryAfter: time.Second, pause: time.Second - time.Microsecond, refilled: 0},
		{limit: 60, retryAfter: time.Second, pause: 10 * time.Second, refilled: 10},
		{limit: 60, retryAfter: time.Second, pause: time.Hour, refilled: 60},
		{limit: 1, retryAfter: time.Minute, pause: time.Minute, refilled: 1},
		{limit: 1, retryAfter: time.Minute, pause: time.Minute - time.Microsecond, refilled: 0},
		{limit: 7, retryAfter: 9 * time.Second, pause: 9 * time.Second, refilled: 1},
		{limit: 600, retryAfter: time.Second, pause: time.Second, refilled: 10},
	} {
		t.Run(fmt.Sprintf("%d a minute after %v", c.limit, c.pause), func(t *testing.T) {
			l, clock := newLimiter()
			key := &apikey.Key{ID: "key_1", RateLimit: c.limit}
			wantAllowed(t, l, key, c.limit, c.retryAfter)
			clock.wait(c.pause)
			if n, _ := allowed(l, key); n != c.refilled {
				t.Errorf("%d allowed after %v, want %d", n, c.pause, c.refilled)
			}
		})
	}
}

// What is left of the limit is true: so many uses are allowed at once, and after Full as many as at first.
func TestRemaining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, clock := newLimiter()
		key := &apikey.Key{ID: "key_1", RateLimit: rapid.IntRange(1, 1000).Draw(t, "limit")}
		pause := time.Duration(rapid.IntRange(0, 100).Draw(t, "pause in ms")) * time.Millisecond
		for range rapid.IntRange(1, 2*key.RateLimit).Draw(t, "uses") {
			l.Allow(context.Background(), key)
			clock.wait(pause)
		}
		last := l.Allow(context.Background(), key)
		if rapid.Bool().Draw(t, "at once") {
			if n, _ := allowed(l, key); n < last.Remaining || n > last.Remaining+1 { // as parts of a use are rounded
				t.Fatalf("%d allowed at once after %+v", n, last)
			}
			return
		}
		clock.wait(last.Full + time.Microsecond) // as times are rounded
		if n, _ := allowed(l, key); n != key.RateLimit {
			t.Fatalf("%d of %d allowed after %+v", n, key.RateLimit, last)
		}
	})
}

func TestAllowWithoutLimit(t *testing.T) {
	l, _ := newLimiter()
	for range 10_000 {
		if a := l.Allow(context.Background(), &apikey.Key{ID: "key_1"}); !a.Allowed || a.RetryAfter != 0 {
			t.Fatalf("Allow = %+v", a)
		}
	}
}

func TestKeysHaveTheirOwnLimits(t *testing.T) {
	l, _ := newLimiter()
	wantAllowed(t, l, &apikey.Key{ID: "key_1", RateLimit: 10}, 10, 6*time.Second)
	wantAllowed(t, l, &apikey.Key{ID: "key_2", RateLimit: 20}, 20, 3*time.Second)
}

func TestAChangedRateLimitTakesHold(t *testing.T) {
	l, clock := newLimiter()
	key := apikey.Key{ID: "key_1", RateLimit: 60}
	raised, lowered, lifted := key, key, key
	raised.RateLimit, lowered.RateLimit, lifted.RateLimit = 120, 6, 0

	l.Allow(context.Background(), &key)
	wantAllowed(t, l, &lowered, 6, 10*time.Second)
	wantAllowed(t, l, &raised, 0, time.Second)
	clock.wait(time.Minute)
	wantAllowed(t, l, &raised, 120, time.Second)
	if !l.Allow(context.Background(), &lifted).Allowed {
		t.Error("rejected though the limit is lifted")
	}
	clock.wait(time.Minute)
	wantAllowed(t, l, &lowered, 6, 10*time.Second)
}

// Whatever the pauses: never more than the limit and what has refilled since, and anyone who waits as told is allowed.
func TestAllowOverTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, clock := newLimiter()
		key := &apikey.Key{ID: "key_1", RateLimit: rapid.IntRange(1, 1000).Draw(t, "limit")}
		began, count := clock.now, 0
		for _, ms := range rapid.SliceOfN(rapid.Int64Range(0, 90_000), 1, 20).Draw(t, "pauses in ms") {
			clock.wait(time.Duration(ms) * time.Millisecond)
			n, retryAfter := allowed(l, key)
			count += n
			if most := float64(key.RateLimit) * (1 + clock.now.Sub(began).Minutes()); float64(count) > most+1e-6 {
				t.Fatalf("%d allowed, at most %v should be", count, most)
			}
			if retryAfter < time.Second || retryAfter > time.Minute || retryAfter%time.Second != 0 {
				t.Fatalf("retry after %v", retryAfter)
			}
			if rapid.Bool().Draw(t, "wait as told") {
				clock.wait(retryAfter)
				if again := l.Allow(context.Background(), key); !again.Allowed {
					t.Fatalf("told to wait %v, then %v more", retryAfter, again.RetryAfter)
				}
				count++
			}
		}
	})
}

func TestFailed(t *testing.T) {
	const first, second = "192.0.2.1", "192.0.2.2"
	l, clock := newLimiter()
	want := func(addr string, retryAfter time.Duration, ok bool) {
		t.Helper()
		if got := l.Failed(addr); got.RetryAfter != retryAfter || got.Allowed != ok {
			t.Fatalf("Failed(%s) = %+v; want %v, %v", addr, got, retryAfter, ok)
		}
	}
	for range 10 {
		want(first, 0, true)
	}
	want(first, 6*time.Second, false)
	want(second, 0, true)
	clock.wait(2500 * time.Millisecond)
	want(first, 4*time.Second, false)
	clock.wait(3500 * time.Millisecond)
	want(first, 0, true)
	want(first, 6*time.Second, false)
	clock.wait(time.Hour)
	for range 10 {
		want(first, 0, true)
	}
	want(first, 6*time.Second, false)
}

func TestFailuresCountTogether(t *testing.T) {
	for _, c := range []struct {
		name, one, other string
		together         bool
	}{
		{"IPv4 neighbours", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 and its IPv6 form", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"IPv4 neighbours in IPv6 form", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"one IPv6 network", "2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"two IPv6 networks", "2001:db8::1", "2001:db8:0:1::1", false},
		{"zones of one network", "fe80::1%eth0", "fe80::2%eth1", true},
		{"no address and another", "", "unknown", true},
		{"no address and one", "", "192.0.2.1", false},
	} {
		l, _ := newLimiter()
		for range 10 {
			l.Failed(c.one)
		}
		if got := !l.Failed(c.other).Allowed; got != c.together {
			t.Errorf("%s: counted together: %v, want %v", c.name, got, c.together)
		}
	}
}

func TestFailuresAreForgottenOnlyWhenMany(t *testing.T) {
	l, clock := newLimiter()
	network := func(i int) string { return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff) }
	const many = 3 * apikey.MaxFailures
	for i := range many {
		l.Failed(network(i))
		if got := l.Senders(); got > apikey.MaxFailures {
			t.Fatalf("%d senders remembered, want at most %d", got, apikey.MaxFailures)
		}
	}
	for range 9 { // the newest are not forgotten, nor is one that goes on
		l.Failed(network(many - 1))
	}
	for i := range apikey.MaxFailures {
		l.Failed(network(many + i))
		if l.Failed(network(many - 1)).Allowed {
			t.Fatalf("forgotten after %d others", i+1)
		}
	}
	for range 3 {
		clock.wait(time.Minute)
		l.Failed(network(0))
	}
	if got := l.Senders(); got > 2 {
		t.Errorf("%d buckets when all senders but one are silent, want one or two", got)
	}
}

// Forgetting buckets after a minute must not show: the limiter of one key is compared with one that has a crowd of
// other keys to turn its buckets over.
func TestForgettingDoesNotShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alone, clock := newLimiter()
		crowded := apikey.NewLimiter(func() time.Time { return clock.now })
		key := &apikey.Key{ID: "key_1", RateLimit: rapid.IntRange(1, 20).Draw(t, "limit")}
		for i, s := range rapid.SliceOfN(rapid.IntRange(0, 70), 1, 50).Draw(t, "pauses in s") {
			clock.wait(time.Duration(s) * time.Second)
			crowded.Allow(context.Background(), &apikey.Key{ID: fmt.Sprint("other ", i), RateLimit: 1})
			for range rapid.IntRange(0, 5).Draw(t, "uses") {
				want := alone.Allow(context.Background(), key)
				if got := crowded.Allow(context.Background(), key); got != want {
					t.Fatalf("Allow = %+v; alone %+v", got, want)
				}
			}
		}
	})
}

func TestIdleKeysAreForgotten(t *testing.T) {
	l, clock := newLimiter()
	for i := range 1000 {
		l.Allow(context.Background(), &apikey.Key{ID: fmt.Sprint("key_", i), RateLimit: 60})
		clock.wait(time.Second)
	}
	if got := l.Keys(); got > 120 {
		t.Errorf("%d keys remembered though 60 were used in the last minute", got)
	}
}

func TestLimitConcurrently(t *testing.T) {
	l, _ := newLimiter()
	key := &apikey.Key{ID: "key_1", RateLimit: 100}
	var uses, failures atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if l.Allow(context.Background(), key).Allowed {
					uses.Add(1)
				}
				if l.Failed("192.0.2.1").Allowed {
					failures.Add(1)
				}
			}
		})
	}
	all.Wait()
	if uses.Load() != 100 || failures.Load() != 10 {
		t.Errorf("%d uses and %d failures let through, want 100 and 10", uses.Load(), failures.Load())
	}
}

func BenchmarkAllow(b *testing.B) {
	l := apikey.NewLimiter(time.Now)
	b.Run("allowed", func(b *testing.B) {
		key := &apikey.Key{ID: "key_1", RateLimit: 1 << 30}
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(context.Background(), key)
		}
	})
	b.Run("rejected", func(b *testing.B) {
		key := &apikey.Key{ID: "key_2", RateLimit: 1}
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(context.Background(), key)
		}
	})
}
