package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

func checkKey(key string) error {
	if !strings.HasPrefix(key, "cc_") || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the API key must begin with cc_ and have no spaces; is it the right one, and whole?")
	}
	return nil
}

// keyDoer adds the key to each request after the editors, so that no editor sees it.
type keyDoer struct {
	authorize func(http.Header) // holds the key: unlike a field, nothing that prints a value can look into a function
	base      *url.URL
	next      HttpRequestDoer
}

// withKey returns a doer that sends the key to the host of base and to no other: it follows no redirect, because the
// standard HTTP client would take the key along.
func withKey(next HttpRequestDoer, key string, base *url.URL) (*keyDoer, error) {
	if standard, ok := next.(*http.Client); ok && standard != nil {
		copied := *standard
		copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		next = &copied
	} else if ok || next == nil {
		return nil, errors.New("WithHTTPClient: the HTTP client is nil")
	}
	return &keyDoer{func(h http.Header) { h.Set("X-Api-Key", key) }, base, next}, nil
}

// Do implements [HttpRequestDoer].
func (k *keyDoer) Do(request *http.Request) (*http.Response, error) {
	return k.do(request.Context(), request)
}

// do sends the request, with another context. Its error is a *networkError, or that of a request which it does not send.
func (k *keyDoer) do(ctx context.Context, request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != k.base.Scheme || request.URL.Host != k.base.Host {
		return nil, errors.New("a request editor changed the host; name another server with WithBaseURL")
	}
	request = request.Clone(ctx) // a caller that kept the request must not see the key appear in it
	k.authorize(request.Header)
	response, err := k.next.Do(request)
	if err == nil && response == nil {
		err = errors.New("the HTTP client returned neither a response nor an error")
	}
	if err != nil {
		return nil, &networkError{err}
	}
	if response.Body == nil {
		response.Body = http.NoBody
	}
	return response, nil
}

// networkError is an error of the HTTP client, as opposed to one of a request editor.
type networkError struct{ error }
