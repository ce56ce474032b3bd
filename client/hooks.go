package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Attempt describes one request of a call and its outcome, for the functions of WithAttemptHook. It holds no ID of a customer or
// provider and no value, so it can be logged as it is.
type Attempt struct {
	Method     string        // such as PATCH
	Host       string        // of the base URL, such as api.carecycle.ai
	Route      string        // the path's template, such as /v2/customers/{id}/providers/{providerId}
	Number     int           // 1 for the first attempt of a call
	StatusCode int           // 0 if no response came
	RequestID  string        // the same for all attempts of a call, unless the server renames them
	Duration   time.Duration // until the response was complete, or the attempt failed
	Wait       time.Duration // until the next attempt; 0 if this is the last one
	Err        error         // an *Error; nil for a success, such as the 404 of a retried deletion
}

// WithAttemptHook calls the function after each attempt, for logs, metrics and traces. Several hooks are called in order, before the
// call continues. Concurrent calls call them concurrently. The context is the call's.
func WithAttemptHook(hook func(context.Context, Attempt)) Option {
	return option(func(c *Client) error {
		if hook == nil {
			return errors.New("WithAttemptHook: the function is nil")
		}
		c.hooks = append(c.hooks, hook)
		return nil
	})
}

// Tracer observes calls and their attempts, for traces: package clientotel has one for OpenTelemetry. It gets no IDs and no values.
// Its methods are called concurrently.
type Tracer interface {
	// StartCall is called when a call begins, with the start of its errors, such as "update provider". The call goes on with the context
	// that it returns. end is called with the call's error, nil for none. A page is a call of its own; the calls of ModifyProvider
	// are within its own. If a function of the program panics, end is called with an error that says so, and the panic goes on.
	StartCall(ctx context.Context, operation string) (_ context.Context, end func(err error))

	// StartAttempt is called when an attempt begins, which has no outcome yet. It may add headers to its request. end is called with
	// its outcome; Wait is not known then.
	StartAttempt(ctx context.Context, a Attempt, header http.Header) (_ context.Context, end func(Attempt))
}

// WithTracer has a Tracer observe the calls of the Client.
func WithTracer(tracer Tracer) Option {
	return option(func(c *Client) error {
		if tracer == nil {
			return errors.New("WithTracer: the tracer is nil")
		}
		c.tracer = tracer
		return nil
	})
}

// errPanicked is the outcome, for a Tracer, of what panicked or ended its goroutine.
var errPanicked = errors.New("a function of the program panicked")

func (c *Client) startCall(ctx context.Context, o operation) (context.Context, func(error)) {
	if c.tracer == nil {
		return ctx, func(error) {}
	}
	return c.tracer.StartCall(ctx, o.name)
}

// startAttempt returns what the tracer returns, and the headers that it adds.
func (c *Client) startAttempt(ctx context.Context, a Attempt) (_ context.Context, header http.Header, end func(Attempt)) {
	if c.tracer == nil {
		return ctx, nil, func(Attempt) {}
	}
	header = http.Header{}
	ctx, end = c.tracer.StartAttempt(ctx, a, header)
	return ctx, header, end
}
