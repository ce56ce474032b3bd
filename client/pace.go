package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WithRateLimit holds the Client to so many requests a minute, evenly spread, retries included. It must be more than 0. Without it the
// Client keeps to what the API tells it: see the package's section on rate limits.
func WithRateLimit(requestsPerMinute int) Option {
	return option(func(c *Client) error {
		if requestsPerMinute < 1 {
			return errors.New("WithRateLimit: there must be at least one request a minute")
		}
		c.pace.own = bucket{rate: float64(requestsPerMinute) / 60, most: 1, tokens: 1}
		return nil
	})
}

// pace says when a Client may send its next request, so that many calls do not run into a rate limit together. Calls wait in the
// order in which they began; a retry keeps the place of its call.
//
// Three things hold requests back: a pause, which a 429 begins for all calls; what is left of the limit, which the server tells with
// each response; and WithRateLimit.
type pace struct {
	clock *clock

	mu       sync.Mutex
	queue    []*waiter // in the order of their calls; only the first one waits for a time
	orders   int       // calls that have come
	sent     int       // requests
	inFlight int       // requests that have no response yet
	paused   time.Time // until then
	window   int       // most requests in flight after a pause, until as many have succeeded; 0 for any number
	told     bucket    // what the server says is left, or what its rejections show
	toldAt   int       // the request whose response said it
	rejected time.Time // the first time, of the last rejections
	accepted int       // requests since then
	own      bucket    // of WithRateLimit
}

// waiter is a call that waits for its turn.
type waiter struct {
	order int
	wake  context.CancelFunc // has it look again
}

// ticket is a call's place, and the last request that it has sent.
type ticket struct {
	order int
	sent  int
}

// enter waits until the call may send a request. If that is not before end, it returns ErrRateLimited, and how long it would take as
// far as is known: at once, unless others are before it in the queue. Its other error is the context's.
func (p *pace) enter(ctx context.Context, t *ticket, end time.Time) (wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.order == 0 {
		p.orders++
		t.order = p.orders
	}
	if now := p.clock.now(); len(p.queue) == 0 && !p.blocked() && p.delay(now) <= 0 {
		p.send(t, now)
		return 0, nil
	}
	w := &waiter{order: t.order}
	at, _ := slices.BinarySearchFunc(p.queue, w, func(a, b *waiter) int { return a.order - b.order })
	p.queue = slices.Insert(p.queue, at, w)
	defer p.leave(w)
	for {
		now := p.clock.now()
		left, delay := end.Sub(now), p.delay(now)
		first := p.queue[0] == w && !p.blocked()
		switch {
		case first && delay <= 0:
			p.send(t, now)
			return 0, nil
		case delay > left || left <= 0:
			return delay, ErrRateLimited
		case first:
			p.sleep(ctx, w, delay)
		default: // until another call wakes this one
			p.sleep(ctx, w, left)
		}
		if ctx.Err() != nil {
			return 0, endOf(ctx)
		}
	}
}

// send notes a request.
func (p *pace) send(t *ticket, now time.Time) {
	p.inFlight++
	p.sent++
	t.sent = p.sent
	p.told.take(now)
	p.own.take(now)
}

// blocked reports whether a request has to wait for the response to another one.
func (p *pace) blocked() bool { return p.window > 0 && p.inFlight >= p.window }

// leave removes a call from the queue, and has the next one look whether it is its turn.
func (p *pace) leave(w *waiter) {
	at := slices.Index(p.queue, w)
	p.queue = slices.Delete(p.queue, at, at+1)
	p.wakeFirst()
}

func (p *pace) wakeFirst() {
	if len(p.queue) > 0 && p.queue[0].wake != nil {
		p.queue[0].wake()
	}
}

// sleep waits until the delay is over, the context ends or another call wakes this one. It gives up the mutex meanwhile.
func (p *pace) sleep(ctx context.Context, w *waiter, delay time.Duration) {
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	w.wake = wake
	p.mu.Unlock()
	defer p.mu.Lock()
	p.clock.sleep(sleeping, delay)
}

// delay returns how long the first call has to wait.
func (p *pace) delay(now time.Time) time.Duration {
	return max(p.paused.Sub(now), p.told.delay(now), p.own.delay(now))
}

// done notes the end of the request that a call has sent. limits is what its response says; pause is how long a 429 has all calls
// wait, and 0 if there was none.
func (p *pace) done(t *ticket, limits rateLimits, pause time.Duration, success bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.now()
	p.inFlight--
	if limits.known && t.sent > p.toldAt { // the responses to older requests may be late
		p.toldAt = t.sent
		// Requests that have no response yet may not be counted.
		p.told = bucket{rate: limits.rate, most: limits.quota, tokens: min(limits.quota, limits.remaining) - float64(p.inFlight), at: now}
		if limits.rate == 0 && limits.remaining == 0 {
			pause = max(pause, limits.reset)
		}
	}
	switch {
	case pause > 0:
		if !limits.known && !now.Before(p.paused) {
			p.learn(now)
		}
		if end := now.Add(pause); end.After(p.paused) {
			p.paused = end
		}
		p.window = 1
	case success:
		p.accepted++
		if p.window *= 2; p.window > p.inFlight+len(p.queue) {
			p.window = 0
		}
	}
	p.wakeFirst()
}

// learn finds the limit of a server that does not tell it: between two rejections as many requests were accepted as the limit
// allows. From then on the rate grows slowly, until it is too high.
func (p *pace) learn(now time.Time) {
	if passed := now.Sub(p.rejected).Seconds(); !p.rejected.IsZero() && passed > 0 && p.accepted > 0 {
		rate := float64(p.accepted) / passed
		p.told = bucket{rate: rate, most: max(1, rate), at: now, growth: 0.01}
	}
	p.rejected, p.accepted = now, 0
}

// bucket is a token bucket: a request takes one token. The zero bucket never runs out.
type bucket struct {
	rate   float64 // tokens a second
	most   float64 // tokens
	tokens float64 // at a time
	at     time.Time
	growth float64 // of the rate, in a second
}

func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 && !b.at.IsZero() {
		b.tokens = min(b.most, b.tokens+passed*b.rate)
		b.rate *= 1 + min(1, passed*b.growth)
	}
	b.at = now
}

func (b *bucket) take(now time.Time) {
	if b.rate > 0 {
		b.fill(now)
		b.tokens--
	}
}

// delay returns how long it takes until there is a token.
func (b *bucket) delay(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.fill(now)
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1-b.tokens)/b.rate*float64(time.Second)).Truncate(time.Microsecond) + time.Microsecond
}

// rateLimits is what a response says about the limit of the key, in the headers RateLimit and RateLimit-Policy of
// draft-ietf-httpapi-ratelimit-headers.
type rateLimits struct {
	known     bool
	remaining float64       // requests now
	reset     time.Duration // until all of them
	quota     float64       // requests in a window; without bound if the server does not say
	rate      float64       // requests a second; 0 if the server does not say
}

// rateLimitsOf returns the limit that is closest, of several. Headers that it cannot read say nothing.
func rateLimitsOf(header http.Header) (closest rateLimits) {
	for limits := header.Get("Ratelimit"); limits != ""; {
		var limit limitItem
		limit, limits = nextItem(limits)
		if !limit.known || closest.known && limit.r >= closest.remaining {
			continue
		}
		closest = rateLimits{known: true, remaining: limit.r, reset: time.Duration(limit.t * float64(time.Second)), quota: limit.r}
		for policies := header.Get("Ratelimit-Policy"); policies != ""; {
			var policy limitItem
			policy, policies = nextItem(policies)
			if policy.name == limit.name && policy.q > 0 && policy.w > 0 {
				closest.quota, closest.rate = policy.q, policy.q/policy.w
			}
		}
	}
	return closest
}

// limitItem is an item such as "name";q=60;w=60 of a structured header (RFC 9651). Its numbers are at most a billion.
type limitItem struct {
	name       string
	q, w, r, t float64
	known      bool // whether there is an r
}

// nextItem reads the first item of a list, and returns the rest.
func nextItem(list string) (item limitItem, rest string) {
	first, rest, _ := strings.Cut(list, ",")
	item.name, first, _ = strings.Cut(strings.TrimSpace(first), ";")
	for first != "" {
		var parameter string
		parameter, first, _ = strings.Cut(first, ";")
		key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		number, err := strconv.ParseUint(value, 10, 32)
		if err != nil || number > 1e9 {
			continue
		}
		switch key {
		case "q":
			item.q = float64(number)
		case "w":
			item.w = float64(number)
		case "r":
			item.r, item.known = float64(number), true
		case "t":
			item.t = float64(number)
		}
	}
	return item, rest
}
