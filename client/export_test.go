package client

import (
	"context"
	"net/http"
	"time"
)

// The client's limits, which follow from the contract.
const (
	MaxAnswer   = maxResponse
	MaxPageSize = maxPageSize
)

// WithClock replaces time and chance.
func WithClock(now func() time.Time, sleep func(context.Context, time.Duration) error, random func() float64) Option {
	return option(func(c *Client) error {
		c.clock = clock{now, sleep, random}
		return nil
	})
}

// Generated returns the generated client within c.
func Generated(c *Client) *plainClient { return c.api }

// NewTransport is newTransport.
func NewTransport() http.RoundTripper { return newTransport() }
