package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// operation is an operation of the API, as errors and hooks name it.
type operation struct {
	name    string // the start of its errors
	method  string // decides whether it may be retried, see mayRepeat
	route   string // the path's template, without any ID
	success int    // the status of one
}

// call is one call of an operation: the part that all its attempts share.
type call struct {
	operation
	limits
	requestID   string
	ifMatch     *string     // the condition; nil for none
	ifNoneMatch *string     // likewise
	pageSize    *int        // nil leaves it to the server
	cursor      string      // of the first page
	header      http.Header // more than the client sets
	ticket      ticket
	left        rateLimits // what the last response says
	moves       bool       // whether the record is found under another customer after a success
	send        func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error)
	accept      func(*apiResponse) string // reads the body of a success, or returns what is wrong with it
}

func (c *Client) newCall(o operation, options []CallOption) (*call, error) {
	call := &call{operation: o, limits: c.limits, requestID: uuid.Must(uuid.NewV7()).String()}
	for _, option := range options {
		if option == nil {
			return nil, fmt.Errorf("%s: an option of the call is nil", o.name)
		}
		if err := option.applyToCall(call); err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
	}
	return call, nil
}

// Attempt describes one request of a call and its outcome, for the functions of WithAttemptHook. It holds no ID of a customer or
// provider and no value, so it can be logged as it is.
type Attempt struct {
	Method     string        // such as PATCH
	Route      string        // the path's template, such as /v2/customers/{id}/providers/{providerId}
	Number     int           // 1 for the first attempt of a call
	StatusCode int           // 0 if no response came
	RequestID  string        // the same for all attempts of a call, unless the server renames them
	Duration   time.Duration // until the response was complete, or the attempt failed
	Wait       time.Duration // until the next attempt; 0 if this is the last one
	Err        error         // an *Error; nil for a success, such as the 404 of a retried deletion
}

// do sends the request until an attempt succeeds, a retry cannot help, or no attempt is left. Its error begins with the
// operation's name.
func (c *Client) do(ctx context.Context, call *call) error {
	end := c.clock.now().Add(call.retries.elapsed)
	if wait, err := c.pace.enter(ctx, &call.ticket, end); err != nil {
		return fmt.Errorf("%s: %w", call.name, call.notSent(wait, err))
	}
	unknown := false // whether a failed attempt may have made the change
	spent := 0       // tokens for retries
	for number := 1; ; number++ {
		start := c.clock.now()
		a, err := c.attempt(ctx, call)
		attempt := Attempt{Method: call.method, Route: call.route, Number: number, Duration: c.clock.now().Sub(start)}
		if err == nil {
			attempt.StatusCode, attempt.RequestID = a.status, a.requestID
			c.succeeded(ctx, call, spent, attempt)
			return nil
		}
		failed, ok := err.(*Error)
		if !ok {
			c.pace.done(&call.ticket, rateLimits{}, 0, false)
			return fmt.Errorf("%s: request editor: %w", call.name, err)
		}
		attempt.StatusCode, attempt.RequestID = failed.StatusCode, failed.RequestID
		if unknown && call.method == http.MethodDelete && failed.Is(ErrNotFound) {
			c.succeeded(ctx, call, spent, attempt)
			return nil
		}
		failed.Attempts, failed.Cursor = number, call.cursor
		failed.setOutcome(call.method)
		failed.afterAttempt(unknown && !call.provesNoEffect(failed))
		unknown = failed.OutcomeUnknown
		if number < call.retries.attempts && call.mayRepeat(failed) {
			if attempt.Wait = c.wait(ctx, number, failed.RetryAfter, end); attempt.Wait > 0 && !c.quota.take(failed.cost()) {
				attempt.Wait = 0
				failed.Message = strings.TrimSuffix(failed.Message, ".") + "; not repeated, as too many calls of this client have failed"
			}
			spent += failed.cost()
		}
		pause := time.Duration(0)
		if failed.StatusCode == http.StatusTooManyRequests {
			pause = max(attempt.Wait, failed.RetryAfter)
		}
		c.pace.done(&call.ticket, call.left, pause, failed.StatusCode != 0)
		attempt.Err = failed
		c.notifyHooks(ctx, attempt)
		if attempt.Wait == 0 {
			return fmt.Errorf("%s: %w", call.name, failed)
		}
		if pause == 0 && c.clock.sleep(ctx, attempt.Wait) != nil {
			return fmt.Errorf("%s: %w", call.name, failed.endedBy(endOf(ctx)))
		}
		switch _, err := c.pace.enter(ctx, &call.ticket, end); {
		case err == ErrRateLimited:
			return fmt.Errorf("%s: %w", call.name, failed)
		case err != nil:
			return fmt.Errorf("%s: %w", call.name, failed.endedBy(err))
		}
	}
}

// succeeded notes the success of a call, whose retries cost so many tokens.
func (c *Client) succeeded(ctx context.Context, call *call, spent int, last Attempt) {
	c.pace.done(&call.ticket, call.left, 0, true)
	c.quota.give(1 + spent)
	c.notifyHooks(ctx, last)
}

// notSent returns the error of a call that got no turn.
func (c *call) notSent(wait time.Duration, err error) *Error {
	message := "the call's context had ended (" + err.Error() + ")"
	if err == ErrRateLimited {
		message = "the rate limit leaves no room for this call; make fewer at once, or let them take longer by WithRetries"
	}
	return &Error{Message: "nothing was sent: " + message, RequestID: c.requestID, Cursor: c.cursor, RetryAfter: max(0, wait), Err: err}
}

// provesNoEffect reports whether a response shows that no earlier attempt of the call had an effect.
func (c *call) provesNoEffect(failed *Error) bool {
	switch {
	case failed.Is(ErrNotFound):
		return !c.moves // the record to change does not exist
	case failed.Is(ErrPreconditionFailed):
		return c.method == http.MethodDelete // the record to delete exists
	}
	return false
}

func (c *Client) notifyHooks(ctx context.Context, attempt Attempt) {
	for _, hook := range c.hooks {
		hook(ctx, attempt)
	}
}

// attempt sends the request once and reads the response to its end. Its error is an *Error, or a request editor's.
func (c *Client) attempt(ctx context.Context, call *call) (*apiResponse, error) {
	if ctx.Err() != nil {
		return nil, call.notSent(0, endOf(ctx))
	}
	call.left = rateLimits{}
	w := &timedDoer{api: *c.api, next: c.doer, ctx: ctx, timeout: call.timeout}
	w.api.Client = w
	defer w.end()
	response, err := call.send(ctx, &w.api, func(_ context.Context, request *http.Request) error {
		call.requestID = setDefault(request.Header, "X-Request-Id", call.requestID)
		setDefault(request.Header, "User-Agent", c.userAgent)
		setDefault(request.Header, "Accept", "application/json")
		for name, values := range call.header {
			request.Header[name] = append(request.Header[name], values...)
		}
		return nil
	})
	if lost, ok := err.(*networkError); ok {
		return nil, w.noResponse(lost.error, call.requestID)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	call.left = rateLimitsOf(response.Header)
	a, err := readResponse(response, call.requestID, c.clock.now())
	if err != nil {
		return nil, w.truncated(err, a)
	}
	if a.status == http.StatusNotModified && call.ifNoneMatch != nil {
		return nil, &Error{StatusCode: a.status, Message: "the record has not changed", RequestID: a.requestID}
	}
	if a.status != call.success {
		return nil, a.apiError()
	}
	if fault := a.problem(); fault != "" {
		return nil, a.unexpected(fault)
	}
	if fault := call.accept(a); fault != "" {
		return nil, a.unexpected(fault)
	}
	return a, nil
}

// setDefault sets a header unless an editor did, and returns its value.
func setDefault(header http.Header, name, value string) string {
	if present := header.Get(name); present != "" {
		return present
	}
	header.Set(name, value)
	return value
}
