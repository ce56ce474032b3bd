// Package client updates customer providers through the careCycle API.
//
//	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"))
//	if err != nil {
//		return err
//	}
//	record, err := c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{
//		Phone: client.Set("+1 555 0100"),  // a value
//		Fax:   client.Clear[string](),     // null
//	})                                         // everything else stays as it is
//	switch {
//	case errors.Is(err, client.ErrNotFound):
//		// no such provider of this customer
//	case err != nil:
//		return err
//	}
//	fmt.Println(record.UpdatedAt, record.ETag)
//
// The models and the plain HTTP client are generated from the API's contract, openapi.yaml; Client is what to use.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// DefaultBaseURL is where the vendor serves the API.
const DefaultBaseURL = "https://api.carecycle.ai"

// Timeout is how long a call may take if its context does not say less.
const Timeout = 30 * time.Second

// maxAnswer bounds how much of an answer is read, in bytes. A record has some thousand.
const maxAnswer = 1 << 20

// Client calls the API with one key. It is safe for concurrent use.
type Client struct {
	api *HTTPClient
}

// Option changes what New makes: WithBaseURL, WithHTTPClient, WithRequestEditorFn.
type Option interface{ apply(*HTTPClient) error }

func (o ClientOption) apply(c *HTTPClient) error { return o(c) }

// New returns a Client that sends the key, which begins with cc_. Without options it calls DefaultBaseURL.
// WithBaseURL names another server, with or without a path; WithHTTPClient brings an *http.Client or anything that
// has its Do; WithRequestEditorFn sees, and may change, each request before the key is added to it.
//
// Redirects are never followed, since they would carry the key elsewhere.
func New(apiKey string, options ...Option) (*Client, error) {
	if !strings.HasPrefix(apiKey, "cc_") || strings.ContainsFunc(apiKey, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("client: the API key must begin with cc_ and have no spaces; is it the right one, and whole?")
	}
	api := &HTTPClient{Server: DefaultBaseURL, Client: &http.Client{Timeout: Timeout}}
	for _, option := range options {
		if err := option.apply(api); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	base, err := url.Parse(api.Server)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, errors.New("client: the base URL must be like https://host or https://host/path")
	}
	if api.Client == nil {
		return nil, errors.New("client: the HTTP client must not be nil")
	}
	api.Server = strings.TrimSuffix(base.String(), "/") + "/"
	api.Client = &authorized{key: secret(apiKey), next: withoutRedirects(api.Client)}
	return &Client{api}, nil
}

// authorized adds the key to requests, last of all, and keeps it from being printed.
type authorized struct {
	key  secret
	next HttpRequestDoer
}

type secret string

func (secret) String() string   { return "cc_…" }
func (secret) GoString() string { return "cc_…" }

func (a *authorized) Do(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Api-Key", string(a.key))
	return a.next.Do(request)
}

func withoutRedirects(doer HttpRequestDoer) HttpRequestDoer {
	standard, ok := doer.(*http.Client)
	if !ok {
		return doer
	}
	copied := *standard
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// Record is a provider as the API answered it.
type Record struct {
	Provider
	ETag      string // the record's version, for IfMatch
	RequestID string // what the server calls the request that was answered
}

// CallOption changes one call.
type CallOption func(*UpdateCustomerProviderParams)

// IfMatch makes a change conditional: it is made only if the record still has the version of that ETag, and otherwise
// refused with ErrPreconditionFailed.
func IfMatch(etag string) CallOption {
	return func(p *UpdateCustomerProviderParams) { p.IfMatch = &etag }
}

// UpdateProvider changes the given properties of a customer's provider and returns the whole record. A zero update
// changes nothing. The change is on disk when the call returns; the same call can be repeated without harm.
//
// Errors of the API are an *Error, which errors.Is compares with ErrNotFound, ErrValidation and their like; others
// are the context's or the network's.
func (c *Client) UpdateProvider(ctx context.Context, customerID, providerID uuid.UUID, update ProviderUpdate, options ...CallOption) (*Record, error) {
	var params UpdateCustomerProviderParams
	for _, option := range options {
		option(&params)
	}
	response, err := c.api.UpdateCustomerProvider(ctx, customerID, providerID, &params, update)
	if err != nil {
		return nil, fmt.Errorf("update provider: %w", withoutURL(err))
	}
	defer response.Body.Close()
	record := &Record{ETag: response.Header.Get("ETag"), RequestID: response.Header.Get("X-Request-Id")}
	if err := decode(response, &record.Provider); err != nil {
		return nil, fmt.Errorf("update provider: %w", err)
	}
	return record, nil
}

// withoutURL takes the URL, which names a customer, out of the error of an http.Client.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// decode reads a 200 into target, and any other answer into an *Error.
func decode(response *http.Response, target any) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", withoutURL(err))
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isJSON := media == "application/json" && len(body) <= maxAnswer
	if response.StatusCode != http.StatusOK {
		return newError(response, body, isJSON)
	}
	if !isJSON || json.Unmarshal(body, target) != nil {
		return unexpected(response, "is not the API's JSON; check the base URL, and what stands between")
	}
	return nil
}
