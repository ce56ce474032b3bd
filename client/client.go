package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The defaults of New.
const (
	DefaultBaseURL  = "https://api.carecycle.ai" // where the vendor serves the API
	DefaultTimeout  = 10 * time.Second           // for each attempt, see WithTimeout
	DefaultAttempts = 4                          // for each call, see WithRetries
	DefaultElapsed  = 30 * time.Second           // for each call, see WithRetries
)

// vendorHost is the host of DefaultBaseURL, whose documentation has no Idempotency-Key.
const vendorHost = "api.carecycle.ai"

// Client calls the API with one key. New returns one. It is safe for concurrent use. A program needs one Client, as its calls share
// connections, the rate limit and the bound of retries. Printing it does not show the key.
type Client struct {
	api       *plainClient
	doer      *keyDoer          // of api
	transport http.RoundTripper // the one of WithTransport, or nil
	limits    limits            // unless a call has its own
	userAgent string
	hooks     []func(context.Context, Attempt)
	tracer    Tracer // nil for none
	clock     clock
	pace      *pace
	quota     *quota
}

// New returns a Client that sends the key, which begins with cc_. Without WithBaseURL it calls the vendor's server, DefaultBaseURL. Without
// other options it gives each attempt DefaultTimeout, and makes up to DefaultAttempts of them within DefaultElapsed. It opens no connection.
//
// An invalid key or option is an error, which holds neither the key nor the option's value.
func New(apiKey string, options ...Option) (*Client, error) {
	if err := checkKey(apiKey); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	standard := &http.Client{Transport: newTransport()}
	c := &Client{
		api:       &plainClient{Server: DefaultBaseURL, Client: standard},
		limits:    limits{DefaultTimeout, retries{DefaultAttempts, DefaultElapsed}},
		userAgent: userAgent(),
		clock:     systemClock,
		quota:     &quota{tokens: firstTokens},
	}
	c.pace = &pace{clock: &c.clock}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("client: an option is nil")
		}
		if err := option.apply(c); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	base, err := parseBaseURL(c.api.Server)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if slices.ContainsFunc(c.api.RequestEditors, func(edit RequestEditorFn) bool { return edit == nil }) {
		return nil, errors.New("client: WithRequestEditorFn: the function is nil")
	}
	doer := c.api.Client
	if c.transport != nil {
		if doer != standard {
			return nil, errors.New("client: WithTransport and WithHTTPClient exclude each other; give the HTTP client that transport")
		}
		doer = &http.Client{Transport: c.transport}
	}
	if c.doer, err = withKey(doer, apiKey, base); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c.api.Server, c.api.Client = base.String()+"/", c.doer
	return c, nil
}

// parseBaseURL returns the base URL without slashes at its end.
func parseBaseURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Hostname() == "" || base.User != nil ||
		base.RawQuery != "" || base.ForceQuery || base.Fragment != "" || strings.ContainsFunc(base.Path+base.Host, unicode.IsSpace) {
		return nil, errors.New("WithBaseURL: the base URL must be like https://host or https://host/path")
	}
	return url.Parse(strings.TrimRight(base.String(), "/"))
}
