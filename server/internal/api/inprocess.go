package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/labstack/echo/v4"
)

type inProcessKey struct{}

// inProcess is what a context of As holds.
type inProcess struct {
	caller *apikey.Key
	outer  *http.Request
}

// As returns a context for calls through Transport that are part of the request outer. They are the caller's, whose rights have been
// checked, and need no API key. The caller's ID is the one in the history and the log.
//
// Nothing that is sent to a listener can be such a call: a context does not travel.
func As(outer *http.Request, caller *apikey.Key) context.Context {
	return context.WithValue(outer.Context(), inProcessKey{}, inProcess{caller, outer})
}

// Transport returns a transport for a client that calls this API within the process. Each call needs a context of As. It gets the
// same validation, semantics, log line and metrics as a request of the listener.
func (a *API) Transport() http.RoundTripper { return transport{a} }

type transport struct{ api *API }

// RoundTrip implements [http.RoundTripper]. The responses of the API are small, so all of one may be in memory.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	call, ok := r.Context().Value(inProcessKey{}).(inProcess)
	if !ok {
		panic("api: a call within the process needs a context of As")
	}
	defer func() {
		if r.Body != nil {
			r.Body.Close()
		}
	}()
	inner := r.Clone(r.Context())
	inner.RequestURI, inner.RemoteAddr = r.URL.RequestURI(), call.outer.RemoteAddr
	inner.Header["X-Forwarded-For"] = call.outer.Header["X-Forwarded-For"]
	inner.Header.Set("X-Request-Id", infoOf(call.outer.Context()).requestID)
	inner.Header.Del("X-Api-Key")
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	w := &responseWriter{header: http.Header{}}
	t.api.ServeHTTP(w, inner)
	w.WriteHeader(http.StatusOK) // if the handler has sent none
	header := http.Header{}
	for name, values := range w.sent { // as a client that reads them from the network has them: ETag is Etag
		header[http.CanonicalHeaderKey(name)] = values
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// responseWriter keeps a response in memory.
type responseWriter struct {
	header http.Header
	status int         // 0 until it is final
	sent   http.Header // as it was when the status became final
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter]. The first final status counts; an informational one, 1xx but for 101, is not final.
func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(text []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(text)
}

// RequestID returns the ID of a request that went through Logged.
func RequestID(ctx context.Context) string { return infoOf(ctx).requestID }

// Identify notes who has sent a request that is no operation of the contract, for the log.
func Identify(ctx context.Context, caller *apikey.Key) { infoOf(ctx).key = caller }

// Fail notes the error that a handler has responded to by itself, for the log.
func Fail(ctx context.Context, err error) { infoOf(ctx).err = err }

// Logged returns a handler whose requests have an ID, a line in the log and the metrics, and recovery from panics, as those of the
// API have.
func (a *API) Logged(operation string, next http.Handler) http.Handler {
	e := a.newEcho()
	for _, path := range []string{"", "/*"} {
		e.Any(path, handled(next), named(operation))
	}
	return e
}

// handled returns a handler that reports the error of Fail.
func handled(next http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		next.ServeHTTP(c.Response(), c.Request())
		return infoOf(c.Request().Context()).err
	}
}
