package apikey

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// SharedLimits is a store in which several processes count the uses of keys together: it has a token bucket for each key.
type SharedLimits interface {
	// DrawTokens takes tokens from buckets, of each what is owed, and then up to what is wanted, but no more than half of what is left,
	// so that something is left for other processes. A bucket that does not exist is full. The grants are by the ID of the key.
	DrawTokens(ctx context.Context, draws []Draw) (map[string]Grant, error)
}

// Draw is what a process asks of a key's bucket. The bucket holds RateLimit tokens, and is refilled within a minute.
type Draw struct {
	KeyID     string
	RateLimit int
	Owed      int // tokens that were used without a grant; negative for tokens that come back
	Wanted    int
}

// Grant is what a process gets from a key's bucket.
type Grant struct {
	Tokens int
	Left   float64 // in the bucket; negative if it is still owed some
}

const (
	leaseTerm   = 3 * time.Second        // unused tokens come back after it
	drawTimeout = time.Second            // for one call of the store
	drawWait    = 500 * time.Millisecond // how long a request waits for a token
	drawPause   = 100 * time.Millisecond // until an empty bucket is drawn from again
	aloneTime   = 5 * time.Second        // how long this process limits alone after the store has failed
	maxDraws    = 1000                   // in one call of the store
)

// leases are the tokens that this process has drawn. A goroutine draws more before they are used up, and gives back what is not used. It
// ends when there are none.
type leases struct {
	shared SharedLimits
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	byKey  map[string]*lease
	asked  []*lease      // those that need a draw
	wake   chan struct{} // holds one if there are any
	drawn  chan struct{} // closed after each draw
	ended  chan struct{} // closed when the goroutine has ended; nil if there is none
	alone  time.Time     // this process limits alone until then
	failed bool          // by the last draw
	closed bool

	closing chan struct{} // closed with them
}

func newLeases(shared SharedLimits, now func() time.Time, log *slog.Logger) *leases {
	return &leases{shared: shared, now: now, log: log, byKey: map[string]*lease{}, wake: make(chan struct{}, 1), drawn: make(chan struct{}), closing: make(chan struct{})}
}

// allow decides on a use of a key. If it cannot, since the store does not respond, it returns what this process says alone.
func (l *leases) allow(ctx context.Context, key *Key, alone Allowance) Allowance {
	a, drawn := l.take(key, alone)
	if drawn == nil {
		return a
	}
	limited, cancel := context.WithTimeout(ctx, drawWait)
	defer cancel()
	for drawn != nil {
		select {
		case <-drawn:
			a, drawn = l.take(key, alone)
		case <-limited.Done():
			return alone
		}
	}
	return a
}

// take takes a token. If only a draw can decide, it returns a channel that is closed after the next one.
func (l *leases) take(key *Key, alone Allowance) (a Allowance, drawn <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.closed || now.Before(l.alone) {
		return alone, nil
	}
	one := l.leaseOf(key, now)
	a, decided := one.take(now)
	if !decided {
		drawn = l.drawn
	}
	if !decided || a.Allowed && one.isLow(now) {
		l.ask(one)
	}
	return a, drawn
}

func (l *leases) leaseOf(key *Key, now time.Time) *lease {
	one := l.byKey[key.ID]
	if one == nil {
		one = &lease{key: key.ID, left: float64(key.RateLimit), leftAt: now, since: now, ends: now.Add(leaseTerm)}
		l.byKey[key.ID] = one
		if l.ended == nil {
			l.ended = make(chan struct{})
			go l.run(l.ended)
		}
	}
	one.limit = key.RateLimit
	return one
}

func (l *leases) ask(one *lease) {
	if one.asked {
		return
	}
	one.asked = true
	l.asked = append(l.asked, one)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run draws until there are no leases, or they are given back.
func (l *leases) run(ended chan struct{}) {
	defer close(ended)
	tick := time.NewTicker(leaseTerm / 6)
	defer tick.Stop()
	for !l.isDone() {
		select {
		case <-l.wake:
		case <-tick.C:
			l.askEnded()
		case <-l.closing:
			l.askAll()
		}
		for l.draw() {
		}
	}
}

// isDone reports whether there are no leases. The goroutine is to end.
func (l *leases) isDone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byKey) > 0 {
		return false
	}
	l.ended = nil
	return true
}

// askEnded asks for a draw of each lease whose term has ended, and forgets those that have nothing to give back.
func (l *leases) askEnded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for key, one := range l.byKey {
		switch {
		case now.Before(one.ends):
		case one.uses == 0 && one.held == 0:
			delete(l.byKey, key)
		default:
			l.ask(one)
		}
	}
}

// askAll asks for the last draw of each lease, which gives back what it has.
func (l *leases) askAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.byKey {
		one.uses = 0
		l.ask(one)
	}
}

// draw draws for some of the leases that need it, and reports whether there can be others.
func (l *leases) draw() bool {
	some, draws := l.begin()
	if len(some) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), drawTimeout)
	defer cancel()
	grants, err := l.shared.DrawTokens(ctx, draws)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.alone = time.Time{}
	if err != nil {
		l.forget(now, err)
	}
	l.failed = err != nil
	for i, one := range some {
		one.add(draws[i], grants[one.key], now)
		if l.closed && one.held == 0 {
			delete(l.byKey, one.key)
		}
	}
	close(l.drawn)
	l.drawn = make(chan struct{})
	return err == nil
}

// forget gives up all leases, as the store has failed.
func (l *leases) forget(now time.Time, err error) {
	if !l.failed {
		l.log.Warn("this server limits the use of keys alone, as limits cannot be shared", "error", err)
	}
	l.alone, l.asked = now.Add(aloneTime), nil
	clear(l.byKey)
}

func (l *leases) begin() (some []*lease, draws []Draw) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.asked), maxDraws)
	some, l.asked = l.asked[:n:n], l.asked[n:]
	now := l.now()
	for _, one := range some {
		draws = append(draws, one.draw(now))
	}
	return some, draws
}

// close gives back what was not used, and waits until that is done.
func (l *leases) close() {
	l.mu.Lock()
	l.closed = true
	ended := l.ended
	l.mu.Unlock()
	close(l.closing)
	if ended != nil {
		<-ended
	}
}

// lease is what this process knows of a key's bucket, and the tokens that it has from it.
type lease struct {
	key   string
	limit int // requests a minute
	held  int // tokens; negative if more were used

	left   float64 // in the bucket after the last draw; before the first, the bucket is taken for full
	leftAt time.Time
	full   int // held after the last draw

	uses  int       // since the last draw, allowed or not, and repeated ones
	rate  float64   // of them before it, a second
	since time.Time // the last draw
	ends  time.Time
	asked bool // a draw is wanted
}

// leftNow estimates what is in the bucket if no other process draws.
func (s *lease) leftNow(now time.Time) float64 {
	return min(float64(s.limit), s.left+now.Sub(s.leftAt).Minutes()*float64(s.limit))
}

// plenty reports whether the bucket is at least half full.
func (s *lease) plenty(now time.Time) bool { return s.leftNow(now) >= float64(s.limit)/2 }

// credit returns how many tokens may be used without a grant: few enough that some processes together stay close to the limit, and one
// for a limit from 30 on.
func (s *lease) credit(now time.Time) int {
	if !s.plenty(now) {
		return 0
	}
	return (s.limit + 10) / 40
}

// take uses a token if there is one. It cannot decide if the bucket may have one.
func (s *lease) take(now time.Time) (a Allowance, decided bool) {
	s.uses++
	left := s.leftNow(now)
	switch {
	case s.held+s.credit(now) >= 1:
		s.held--
		a.Allowed = true
	case left >= 1 && !(s.left < 1 && now.Sub(s.leftAt) < drawPause):
		return a, false
	}
	tokens := max(0, float64(s.held)+left)
	until := func(wanted float64) time.Duration {
		return time.Duration((wanted - tokens) * float64(time.Minute) / float64(s.limit))
	}
	a.Remaining = min(s.limit, int(tokens))
	a.Full = max(0, seconds(until(float64(s.limit))))
	if !a.Allowed {
		a.RetryAfter = max(time.Second, seconds(until(1)))
	}
	return a, true
}

// isLow reports whether half of what a draw brought is used, and another one can bring something. A single use is no reason for a draw.
func (s *lease) isLow(now time.Time) bool {
	credit := s.credit(now)
	return s.uses > 1 && s.leftNow(now) >= 1 && 2*(s.held+credit) <= s.full+credit
}

// draw returns the draw that brings the lease to what it will need: for its term, or for a second if the bucket is not half full. It needs
// nothing if the credit is enough.
func (s *lease) draw(now time.Time) Draw {
	elapsed := now.Sub(s.since).Seconds()
	s.rate = s.rate*max(0, 1-elapsed) + float64(s.uses)/max(1, elapsed)
	target := 0
	if s.uses > s.credit(now) {
		period := time.Second
		if s.plenty(now) {
			period = leaseTerm
		}
		target = min(s.limit, max(1, int(math.Ceil(s.rate*period.Seconds()))))
	}
	s.uses, s.since, s.asked = 0, now, false
	d := Draw{KeyID: s.key, RateLimit: s.limit}
	if s.held > target {
		d.Owed = target - s.held
		s.left += float64(s.held - target) // already now, so that no token is missing meanwhile
		s.held = target
	} else {
		d.Owed, d.Wanted = max(0, -s.held), target-max(0, s.held)
	}
	return d
}

// add adds what a draw has brought.
func (s *lease) add(d Draw, g Grant, now time.Time) {
	s.held += max(0, d.Owed) + g.Tokens
	s.full, s.left, s.leftAt, s.ends = s.held, g.Left, now, now.Add(leaseTerm)
}
