package client

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Option changes what New makes: WithBaseURL, WithTransport, WithTimeout, WithRetries, WithoutRetries, WithUserAgent,
// WithAttemptHook, and those that are generated:
//
// WithHTTPClient brings an *http.Client, which is copied and follows no redirects, or anything else that has its Do.
// The latter is given the key and must not follow redirects either.
//
// WithRequestEditorFn sees each request, without the key, before it is sent, and may set headers. It may not change the
// host. Its error ends the call.
type Option interface{ apply(*Client) error }

type option func(*Client) error

func (o option) apply(c *Client) error { return o(c) }

func (o ClientOption) apply(c *Client) error {
	if o == nil {
		return errors.New("an option is nil")
	}
	return o(c.api)
}

// WithBaseURL names the server that serves the API: scheme and host, with or without a path under which the API is
// found, with or without a slash at its end. Without it the Client calls DefaultBaseURL. Use https wherever the
// network is not your own: the key travels in a header.
func WithBaseURL(baseURL string) Option {
	return option(func(c *Client) error {
		c.api.Server = baseURL
		return nil
	})
}

// WithTransport sends the requests through an http.RoundTripper: one with a proxy, with certificates of its own, or
// one that traces, such as OpenTelemetry's. It sees the whole request, IDs and key included.
// It excludes WithHTTPClient.
func WithTransport(transport http.RoundTripper) Option {
	return option(func(c *Client) error {
		if transport == nil {
			return errors.New("WithTransport: the transport is nil")
		}
		c.transport = transport
		return nil
	})
}

// WithTimeout bounds an attempt, from looking up the host to the last byte of the response. Without it that is
// DefaultTimeout. It must be more than 0; how long a call may take in all is WithRetries' matter and the context's.
func WithTimeout(timeout time.Duration) Option {
	return option(func(c *Client) error {
		if timeout <= 0 {
			return errors.New("WithTimeout: the timeout must be more than 0")
		}
		c.timeout = timeout
		return nil
	})
}

// WithRetries bounds a call: it makes at most so many attempts, the first one included, and begins none when more than
// elapsed has gone by since the call began. Both must be more than 0. So a call lasts no longer than elapsed and one
// timeout, or than its context. Without it the bounds are DefaultAttempts and DefaultElapsed.
//
// Give a job in the background more: the API may ask for a minute's wait when its rate limit is reached, which the
// default does not sit out.
func WithRetries(attempts int, elapsed time.Duration) Option {
	return option(func(c *Client) error {
		if attempts < 1 || elapsed <= 0 {
			return errors.New("WithRetries: attempts and elapsed must be more than 0; WithoutRetries switches retries off")
		}
		c.retries = retries{attempts, elapsed}
		return nil
	})
}

// WithoutRetries makes each call one attempt.
func WithoutRetries() Option {
	return option(func(c *Client) error {
		c.retries.attempts = 1
		return nil
	})
}

// WithUserAgent tells the server which program calls, such as "billing/1.4". The name of this package follows it.
func WithUserAgent(product string) Option {
	return option(func(c *Client) error {
		if strings.TrimSpace(product) == "" || strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("WithUserAgent: the name must be printable ASCII, like billing/1.4")
		}
		c.userAgent = product + " " + userAgent()
		return nil
	})
}

// WithAttemptHook calls the function after each attempt, for logs, metrics and traces. Several hooks are called in
// their order, before the call goes on; they are called concurrently if the Client is used so. The context is the
// call's.
func WithAttemptHook(hook func(context.Context, Attempt)) Option {
	return option(func(c *Client) error {
		if hook == nil {
			return errors.New("WithAttemptHook: the function is nil")
		}
		c.hooks = append(c.hooks, hook)
		return nil
	})
}

// userAgent names this package in the version that the program was built with.
var userAgent = sync.OnceValue(func() string {
	const module = "github.com/carecycle/provider-api"
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module && dependency.Replace == nil && strings.HasPrefix(dependency.Version, "v") {
				version = dependency.Version
			}
		}
	}
	return "carecycle-provider-api/" + version
})
