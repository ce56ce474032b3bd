package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"
)

// The longest waits before the second attempt, and before any later one, if the server requests none.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 8 * time.Second
)

// retries bounds the attempts of a call.
type retries struct {
	attempts int
	elapsed  time.Duration // since the call began; no attempt begins later
}

// The calls of a Client share a bound of retries, so that a server that is down is not sent several times as many requests. A retry
// costs tokens. A success gives one token, and gives back what the retries of its call have cost.
const (
	firstTokens    = 300  // for 30 retries after responses
	maxTokens      = 1000 // after many successes
	responseCost   = 10   // of a retry after a response, or after a timeout
	connectionCost = 3    // of one after a lost connection, which costs the server little
)

// quota is the tokens that are left for retries.
type quota struct {
	mu     sync.Mutex
	tokens int
}

func (q *quota) take(cost int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tokens < cost {
		return false
	}
	q.tokens -= cost
	return true
}

func (q *quota) give(tokens int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tokens = min(maxTokens, q.tokens+tokens)
}

// cost returns what a retry after the error costs. After a 429 it is free, as all calls wait.
func (e *Error) cost() int {
	switch {
	case e.StatusCode == http.StatusTooManyRequests:
		return 0
	case e.StatusCode == 0 && !errors.Is(e.Err, os.ErrDeadlineExceeded):
		return connectionCost
	}
	return responseCost
}

// clock is the source of time and randomness; tests replace it.
type clock struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error // ends early, with the context's error, when that ends
	random func() float64                             // at least 0, less than 1
}

var systemClock = clock{time.Now, sleep, rand.Float64}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait returns how long to wait after the attempt of that number, or 0 if the next one would begin after the end of the call or of
// its context. The wait is random up to a bound that doubles with each attempt, so that clients that failed together do not
// return together, and not shorter than the server requests.
func (c *Client) wait(ctx context.Context, number int, asked time.Duration, end time.Time) time.Duration {
	bound := longestWait
	if shift := number - 1; shift < 16 {
		bound = min(bound, firstWait<<shift)
	}
	wait := asked + max(time.Duration(c.clock.random()*float64(bound)), time.Millisecond)
	next := c.clock.now().Add(wait)
	if deadline, ok := ctx.Deadline(); next.After(end) || ok && !next.Before(deadline) {
		return 0
	}
	return wait
}

// mayRepeat reports whether a retry may help and does no harm.
func (c *call) mayRepeat(failed *Error) bool {
	switch {
	case ended(failed.Err) || isPermanent(failed.Err):
		return false
	case c.method == http.MethodPost && failed.OutcomeUnknown && !c.once: // it would create a second record
		return false
	case c.method == http.MethodPatch && c.ifMatch != nil && failed.StatusCode == http.StatusOK:
		return false // the truncated response was a success, so the record no longer has the required version
	}
	return failed.Err != nil || isTransient(failed.StatusCode)
}

// isTransient reports whether a status means a transient failure: too many requests, or a server that cannot respond.
func isTransient(status int) bool {
	return status == http.StatusTooManyRequests || isUnavailable(status)
}

// isUnavailable reports whether a status means that the request did not arrive in time, or that no server could respond. Proxies
// that cannot reach the server return 520 to 530.
func isUnavailable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return 520 <= status && status <= 530
}
