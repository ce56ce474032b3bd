package client

import (
	"context"
	"time"
)

// MaxAnswer lets tests stay in step.
const MaxAnswer = maxAnswer

// WithClock replaces time and chance.
func WithClock(now func() time.Time, sleep func(context.Context, time.Duration) error, random func() float64) Option {
	return option(func(c *Client) error {
		c.clock = clock{now, sleep, random}
		return nil
	})
}
