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
	"sync/atomic"
	"syscall"
	"time"
)

// connectionTrace records how far a request came on the network, to explain its failure.
type connectionTrace struct {
	ctx     context.Context // the caller's
	timed   context.Context // the attempt's, which ends after timeout
	timeout time.Duration

	dialled, connected atomic.Bool
}

// watch has the standard transport report how far the request comes.
func (w *connectionTrace) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.dialled.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
	})
}

// noResponse returns the error of a request without a response. If there was no connection, it had no effect; with a transport that
// does not report connections, that is unknown.
func (w *connectionTrace) noResponse(err error, requestID string) *Error {
	message, cause := w.explain(err)
	return &Error{
		Message: "no response: " + message, RequestID: requestID,
		OutcomeUnknown: !w.dialled.Load() || w.connected.Load(), Err: cause,
	}
}

// truncated returns the error of a response that could not be read to its end.
func (w *connectionTrace) truncated(err error, a *apiResponse) *Error {
	message, cause := w.explain(err)
	e := a.newError(fmt.Sprintf("the response ended early after %d bytes: %s", len(a.body), message))
	e.Err = cause
	return e
}

// explain says what an error of the HTTP client means and what to do. It repeats only texts that hold no more than addresses: others
// may hold the URL, which names a customer, or data of the server. The second result is for errors.Is.
func (w *connectionTrace) explain(err error) (string, error) {
	err = withoutURL(err)
	switch {
	case w.ctx.Err() != nil:
		return "the call's context ended (" + w.ctx.Err().Error() + ")", w.ctx.Err()
	case w.timed.Err() != nil:
		return fmt.Sprintf("%v were not enough; WithTimeout gives an attempt more time", w.timeout), os.ErrDeadlineExceeded
	case isTimeout(err):
		return "the HTTP client's own timeout was not enough", os.ErrDeadlineExceeded
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS; check the base URL", err
	case isClosedConnection(err):
		return "the connection was cut", err
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
	return certificate || errors.Is(err, http.ErrSchemeMismatch)
}
