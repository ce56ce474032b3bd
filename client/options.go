package client

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
)

// Option configures a Client: WithBaseURL, WithTransport, WithRateLimit, WithUserAgent, WithAttemptHook, WithTracer, each SharedOption
// (WithTimeout, WithRetries and WithoutRetries, which are options of a call too), and those that are generated:
//
// WithHTTPClient sets an *http.Client, which is copied and follows no redirects, or another implementation of its Do. The latter
// gets the key and must not follow redirects either.
//
// WithRequestEditorFn sets a function that gets each request, without the key, before it is sent, and may set headers. It must not
// change the host. It may wait: that is no part of the attempt's timeout. Its context is the call's. Its error ends the call.
type Option interface{ apply(*Client) error }

type option func(*Client) error

func (o option) apply(c *Client) error { return o(c) }

func (o ClientOption) apply(c *Client) error {
	if o == nil {
		return errors.New("an option is nil")
	}
	return o(c.api)
}

// WithBaseURL sets the server of the API: scheme and host, with or without a path and a final slash. The default is
// DefaultBaseURL. Use https wherever the network is not your own: a header holds the key.
func WithBaseURL(baseURL string) Option {
	return option(func(c *Client) error {
		c.api.Server = baseURL
		return nil
	})
}

// WithTransport sends requests through an http.RoundTripper, for example one with a proxy, with its own certificates, or one that
// traces. It sees the whole request: the URL with the IDs of customer and provider, the values of a change, and the key. Whatever it
// logs or traces has them too, unless it leaves them out. It excludes WithHTTPClient.
//
// Without either, a Client has a transport of its own: like http.DefaultTransport, with the proxies of the environment, it keeps
// up to 64 idle connections, and pings one of HTTP/2 that is silent for 3 seconds, so that a dead one is given up after 5.
func WithTransport(transport http.RoundTripper) Option {
	return option(func(c *Client) error {
		if transport == nil {
			return errors.New("WithTransport: the transport is nil")
		}
		c.transport = transport
		return nil
	})
}

// WithUserAgent sets the program's name in the header User-Agent, such as "billing/1.4". The name of this package follows it.
func WithUserAgent(product string) Option {
	return option(func(c *Client) error {
		if strings.TrimSpace(product) == "" || strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("WithUserAgent: the name must be printable ASCII, like billing/1.4")
		}
		c.userAgent = product + " " + userAgent()
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
