package storetest

import (
	"sync"
	"time"
)

// Clock is a clock that stands still until a test moves it. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	time time.Time
}

// NewClock returns a clock that shows a time.
func NewClock(at time.Time) *Clock { return &Clock{time: at} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

// Move moves the clock, back if d is negative, and returns the new time.
func (c *Clock) Move(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	return c.time
}

// Set sets the clock and returns the time that it showed.
func (c *Clock) Set(to time.Time) (was time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, c.time = c.time, to
	return was
}
