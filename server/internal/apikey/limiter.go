package apikey

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	failuresPerMinute = 10
	maxFailures       = 10_000 // networks
)

// Limiter limits how often a key may be used, and how often a caller may send wrong keys. Wrong keys are counted in this process alone.
// It is safe for concurrent use.
type Limiter struct {
	now      func() time.Time
	keys     buckets[string] // by ID: no more than the store has
	failures buckets[netip.Prefix]
	leases   *leases // nil if this process counts alone
}

// NewLimiter returns a Limiter that counts in this process alone. now is the clock, time.Now outside of tests.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, keys: buckets[string]{max: math.MaxInt}, failures: buckets[netip.Prefix]{max: maxFailures}}
}

// NewSharedLimiter returns a Limiter that limits the use of a key by all processes with the same store together. While the store does not
// respond, each limits alone. now is the clock, time.Now outside of tests. The log gets a warning when the store fails. Close the Limiter
// before the store.
//
// A process uses tokens that it has drawn from the key's bucket in the store, in the background. So it waits for the store at a key's first
// uses at most, and not for each. What it does not use within 3 seconds goes back.
func NewSharedLimiter(shared SharedLimits, now func() time.Time, log *slog.Logger) *Limiter {
	l := NewLimiter(now)
	l.leases = newLeases(shared, now, log)
	return l
}

// Close gives back what this process has not used of shared limits. After it, the Limiter counts alone.
func (l *Limiter) Close() {
	if l.leases != nil {
		l.leases.close()
	}
}

// Allowance is what a Limiter says about a use of a key, or about a wrong key.
type Allowance struct {
	Allowed    bool
	RetryAfter time.Duration // until a use will be allowed, in whole seconds, at least one; 0 if this one is
	Remaining  int           // how many more are allowed at once, as far as this process knows
	Full       time.Duration // until as many are allowed at once as in a minute, in whole seconds
}

// Allow says whether the key may be used now, and counts the use if so: its RateLimit at once, then evenly over the minute. A key's
// RateLimit may change from one call to the next. The uses of a key whose RateLimit is 0 are not counted. If the limit is shared, Allow may
// wait for the store, for half a second at most.
func (l *Limiter) Allow(ctx context.Context, key *Key) Allowance {
	if key.RateLimit == 0 {
		return Allowance{Allowed: true}
	}
	alone := l.keys.take(key.ID, key.RateLimit, l.now())
	if l.leases == nil {
		return alone
	}
	return l.leases.allow(ctx, key, alone)
}

// Failed counts a request with a wrong key and says whether it is within the limit: 10 at once, then one every 6 seconds. A valid
// key does not come here: it is good whatever else its sender tries.
//
// addr is an IP address without port. An IPv6 network of 64 bits counts as one sender, who can use all of it; so does
// everything that is not an address. When more than some thousand senders fail within a minute, those longest silent
// start afresh.
func (l *Limiter) Failed(addr string) Allowance {
	return l.failures.take(network(addr), failuresPerMinute, l.now())
}

// Blocked reports whether Failed would say no, and counts nothing.
func (l *Limiter) Blocked(addr string) bool {
	return l.failures.empty(network(addr), l.now())
}

func network(addr string) netip.Prefix {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits) // fails for a wrong number of bits only
	return prefix
}

// buckets are token buckets that fill up within a minute. One unused for a minute is as good as new and can be
// forgotten: current holds the buckets used since rotatedAt, previous those used before and not since.
type buckets[K comparable] struct {
	max int

	mu                sync.Mutex
	rotatedAt         time.Time
	current, previous map[K]*rate.Limiter
}

// take takes a token from the bucket of k, which holds perMinute of them.
func (b *buckets[K]) take(k K, perMinute int, now time.Time) Allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket := b.bucket(k, perMinute, now)
	if bucket.Burst() != perMinute {
		bucket.SetLimitAt(now, perSecond(perMinute))
		bucket.SetBurstAt(now, perMinute)
	}
	allowed := bucket.AllowN(now, 1)
	tokens := bucket.TokensAt(now)
	until := func(wanted float64) time.Duration {
		return time.Duration((wanted - tokens) * float64(time.Minute) / float64(perMinute))
	}
	a := Allowance{Allowed: allowed, Remaining: max(0, int(tokens)), Full: seconds(until(float64(perMinute)))}
	if !allowed {
		a.RetryAfter = max(time.Second, seconds(until(1)))
	}
	return a
}

// seconds rounds up to whole seconds.
func seconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// empty reports whether the bucket of k has no token.
func (b *buckets[K]) empty(k K, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, ok := b.current[k]
	if !ok {
		bucket, ok = b.previous[k]
	}
	return ok && bucket.TokensAt(now) < 1
}

func (b *buckets[K]) bucket(k K, perMinute int, now time.Time) *rate.Limiter {
	if b.current == nil || now.Sub(b.rotatedAt) >= time.Minute || len(b.current) >= b.max/2 {
		b.current, b.previous, b.rotatedAt = map[K]*rate.Limiter{}, b.current, now
	}
	if bucket, ok := b.current[k]; ok {
		return bucket
	}
	bucket, ok := b.previous[k]
	if !ok {
		bucket = rate.NewLimiter(perSecond(perMinute), perMinute)
	}
	b.current[k] = bucket
	return bucket
}

func perSecond(perMinute int) rate.Limit { return rate.Limit(perMinute) / 60 }
