package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Pings end an HTTP/2 connection that has gone silent after 5 seconds, well before the end of an attempt, so that the next one gets
// another connection.
const (
	pingAfter   = 3 * time.Second // of silence
	pingTimeout = 2 * time.Second
)

// idleConnections is how many connections to the API are kept for further calls. With net/http's 2, a crowd of callers would open a
// new one for most calls.
const idleConnections = 64

// newTransport returns the transport of a Client without WithTransport and WithHTTPClient: that of net/http, with its proxies,
// unless the program has replaced it by something else.
func newTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := standard.Clone()
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, idleConnections)
	if t.HTTP2 == nil {
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	}
	if t.OnProxyConnectResponse == nil {
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
			if response.StatusCode != http.StatusOK {
				return &proxyError{response.StatusCode}
			}
			return nil
		}
	}
	return t
}

// proxyError is the response of a proxy that opens no connection to the API.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the proxy opened no connection: %d %s", e.status, http.StatusText(e.status)))
}

// proxyErrorOf returns the proxyError in err, nil if there is none. Of another transport's proxies it knows those that ask for a
// password: that error has the text of the status.
func proxyErrorOf(err error) *proxyError {
	if proxy, ok := errors.AsType[*proxyError](err); ok {
		return proxy
	}
	if err != nil && withoutURL(err).Error() == http.StatusText(http.StatusProxyAuthRequired) {
		return &proxyError{http.StatusProxyAuthRequired}
	}
	return nil
}

// timedDoer sends the request of an attempt. Its timeout begins then, so that a request editor that waits does not use it up. It
// records how far the request came on the network, to explain a failure.
type timedDoer struct {
	api     plainClient // which sends with it
	next    *keyDoer
	ctx     context.Context // the caller's
	timeout time.Duration

	timed              context.Context // nil until the request is sent
	cancel             context.CancelFunc
	dialled, connected atomic.Bool
}

// Do implements [HttpRequestDoer].
func (w *timedDoer) Do(request *http.Request) (*http.Response, error) {
	w.timed, w.cancel = context.WithTimeout(request.Context(), w.timeout)
	return w.next.do(httptrace.WithClientTrace(w.timed, &httptrace.ClientTrace{
		GetConn: func(string) { w.dialled.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
	}), request)
}

// end ends the attempt.
func (w *timedDoer) end() {
	if w.cancel != nil {
		w.cancel()
	}
}

// noResponse returns the error of a request without a response. If there was no connection, it had no effect; with a transport that
// does not report connections, that is unknown.
func (w *timedDoer) noResponse(err error, requestID string) *Error {
	message, cause := w.explain(err)
	return &Error{
		Message: "no response: " + message, RequestID: requestID,
		OutcomeUnknown: !w.dialled.Load() || w.connected.Load(), Err: cause,
	}
}

// truncated returns the error of a response that could not be read to its end.
func (w *timedDoer) truncated(err error, a *apiResponse) *Error {
	message, cause := w.explain(err)
	e := a.newError(fmt.Sprintf("the response ended early after %d bytes: %s", len(a.body), message))
	e.Err = cause
	return e
}

// explain says what an error of the HTTP client means and what to do. It repeats only texts that hold no more than addresses: others
// may hold the URL, which names a customer, or data of the server. The second result is for errors.Is.
func (w *timedDoer) explain(err error) (string, error) {
	err = withoutURL(err)
	switch {
	case w.ctx.Err() != nil:
		return "the call's context ended (" + w.ctx.Err().Error() + ")", endOf(w.ctx)
	case w.timed.Err() != nil:
		return fmt.Sprintf("%v were not enough; WithTimeout gives an attempt more time", w.timeout), os.ErrDeadlineExceeded
	case isTimeout(err):
		return "the HTTP client's own timeout was not enough", os.ErrDeadlineExceeded
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS; check the base URL", err
	case isGarbage(err):
		return "the server does not speak HTTP; check the base URL", err
	case isClosedConnection(err):
		return "the connection was cut", err
	}
	if proxy := proxyErrorOf(err); proxy != nil {
		return proxy.Error() + "; check the proxy's address, user and password", err
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return clean(certificate.Error(), maxText) + "; check the base URL", err
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return clean(dial.Error(), maxText) + "; check the base URL and the network", err
	}
	return "the HTTP client failed; why is in the Err of this Error, whose text may name a customer", err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

func isClosedConnection(err error) bool {
	return errors.As(err, new(streamError)) || slices.ContainsFunc([]error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	}, func(cut error) bool { return errors.Is(err, cut) })
}

// streamError is the error of an HTTP/2 stream that the server has reset. net/http does not export its type, and lets errors.As fill
// any struct with these fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "the server reset the stream" }

// withoutURL returns the error of an http.Client without its URL.
func withoutURL(err error) error {
	for failed, ok := errors.AsType[*url.Error](err); ok; failed, ok = errors.AsType[*url.Error](err) {
		err = failed.Err
	}
	return err
}

// isPermanent reports whether a retry cannot help against a failure of the network.
func isPermanent(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	proxy := proxyErrorOf(err)
	return certificate || proxy != nil && proxy.status < 500 || errors.Is(err, http.ErrSchemeMismatch) || isGarbage(err)
}

// isGarbage reports whether what came is no HTTP. net/http has no type for that.
func isGarbage(err error) bool { return err != nil && strings.Contains(err.Error(), "malformed HTTP ") }

// contextError is the error of a context that has ended. Its text does not have the cause, which is the caller's.
type contextError struct {
	error
	cause error
}

// Unwrap returns the context's error and its cause.
func (e *contextError) Unwrap() []error { return []error{e.error, e.cause} }

// endOf returns the error of a context that has ended, which has its cause too.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return &contextError{ctx.Err(), cause}
	}
	return ctx.Err()
}
