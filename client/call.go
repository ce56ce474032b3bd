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
	requestID      string
	ifMatch        *string     // the condition; nil for none
	ifNoneMatch    *string     // likewise
	idempotencyKey string      // of a creation
	once           bool        // whether a creation that is sent again creates nothing
	pageSize       *int        // nil leaves it to the server
	cursor         string      // of the first page
	header         http.Header // more than the client sets
	ticket         ticket
	left           rateLimits // what the last response says
	spent          int        // tokens for retries
	moves          bool       // whether the record is found under another customer after a success
	send           func(ctx context.Context, api *plainClient, last RequestEditorFn) (*http.Response, error)
	accept         func(*apiResponse) string // reads the body of a success, or returns what is wrong with it
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

// do sends the request until an attempt succeeds, a retry cannot help, or no attempt is left. Its error begins with the
// operation's name.
func (c *Client) do(ctx context.Context, call *call) (err error) {
	ctx, end := c.startCall(ctx, call.operation)
	err = errPanicked
	defer func() { end(err) }()
	if err = c.repeat(ctx, call); err != nil {
		return fmt.Errorf("%s: %w", call.name, err)
	}
	return nil
}

func (c *Client) repeat(ctx context.Context, call *call) error {
	last := c.clock.now().Add(call.retries.elapsed)
	if wait, err := c.pace.enter(ctx, &call.ticket, last); err != nil {
		return call.notSent(wait, err)
	}
	unknown := false // whether a failed attempt may have made the change
	for number := 1; ; number++ {
		attempt, end, err := c.try(ctx, call, number)
		failed, ok := err.(*Error)
		if err == nil || ok && unknown && call.method == http.MethodDelete && failed.Is(ErrNotFound) {
			c.finish(ctx, call, attempt, 0, end)
			c.quota.give(1 + call.spent)
			return nil
		}
		if !ok {
			c.pace.done(&call.ticket, call.left, 0, false)
			attempt.Err = err
			end(attempt)
			return fmt.Errorf("request editor: %w", err)
		}
		failed.Attempts, failed.Cursor = number, call.cursor
		failed.setOutcome(call)
		failed.afterAttempt(unknown && !call.provesNoEffect(failed))
		unknown = failed.OutcomeUnknown
		attempt.Wait, attempt.Err = c.waitFor(ctx, call, failed, last), failed
		pause := time.Duration(0)
		if failed.StatusCode == http.StatusTooManyRequests {
			pause = max(attempt.Wait, failed.RetryAfter)
		}
		c.finish(ctx, call, attempt, pause, end)
		if attempt.Wait == 0 {
			return failed
		}
		if pause == 0 && c.clock.sleep(ctx, attempt.Wait) != nil {
			return failed.endedBy(endOf(ctx))
		}
		switch _, err := c.pace.enter(ctx, &call.ticket, last); {
		case err == ErrRateLimited:
			return failed
		case err != nil:
			return failed.endedBy(err)
		}
	}
}

// try makes an attempt. end is to be called with its outcome. If a function of the program panics, the attempt is over too: other calls
// would wait for its response.
func (c *Client) try(ctx context.Context, call *call, number int) (a Attempt, end func(Attempt), err error) {
	a = Attempt{Method: call.method, Host: c.doer.base.Host, Route: call.route, Number: number}
	over := false
	defer func() {
		if !over {
			c.pace.done(&call.ticket, rateLimits{}, 0, false)
		}
	}()
	ctx, header, end := c.startAttempt(ctx, a)
	defer func() {
		if !over {
			a.Err = errPanicked
			end(a)
		}
	}()
	start := c.clock.now()
	got, err := c.attempt(ctx, call, header)
	over = true
	a.Duration = c.clock.now().Sub(start)
	if failed, ok := err.(*Error); ok {
		a.StatusCode, a.RequestID = failed.StatusCode, failed.RequestID
	} else if err == nil {
		a.StatusCode, a.RequestID = got.status, got.requestID
	}
	return a, end, err
}

// finish notes the outcome of an attempt, and has all calls pause for a while.
func (c *Client) finish(ctx context.Context, call *call, a Attempt, pause time.Duration, end func(Attempt)) {
	c.pace.done(&call.ticket, call.left, pause, a.StatusCode != 0)
	end(a)
	for _, hook := range c.hooks {
		hook(ctx, a)
	}
}

// waitFor returns how long to wait before the attempt after the one that failed, or 0 if there is to be none.
func (c *Client) waitFor(ctx context.Context, call *call, failed *Error, end time.Time) time.Duration {
	if failed.Attempts >= call.retries.attempts || !call.mayRepeat(failed) {
		return 0
	}
	wait := c.wait(ctx, failed.Attempts, failed.RetryAfter, end)
	if wait == 0 {
		return 0
	}
	if !c.quota.take(failed.cost()) {
		failed.Message = strings.TrimSuffix(failed.Message, ".") + "; not repeated, as too many calls of this client have failed"
		return 0
	}
	call.spent += failed.cost()
	return wait
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

// attempt sends the request once and reads the response to its end. Its error is an *Error, or a request editor's.
func (c *Client) attempt(ctx context.Context, call *call, header http.Header) (*apiResponse, error) {
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
		for _, more := range []http.Header{call.header, header} {
			for name, values := range more {
				request.Header[name] = append(request.Header[name], values...)
			}
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
