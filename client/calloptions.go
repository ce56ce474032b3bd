package client

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// CallOption changes one call: IfMatch, IfNoneMatch, IdempotencyKey, PageSize, Cursor, RequestID, Header, and each SharedOption. An
// option that the operation does not have is an error, and nothing is sent.
type CallOption interface{ applyToCall(*call) error }

type callOption func(*call) error

func (o callOption) applyToCall(c *call) error { return o(c) }

// SharedOption is an Option for all calls of a Client, and a CallOption for one of them: WithTimeout, WithRetries and WithoutRetries.
type SharedOption interface {
	Option
	CallOption
}

// limits bounds a call, and each of its attempts.
type limits struct {
	timeout time.Duration // of an attempt
	retries retries
}

type sharedOption func(*limits) error

func (o sharedOption) apply(c *Client) error { return o(&c.limits) }

func (o sharedOption) applyToCall(c *call) error { return o(&c.limits) }

// WithTimeout bounds an attempt, from looking up the host to the last byte of the response: the connection, the proxy and TLS are included,
// the waits before it and request editors are not. The default is DefaultTimeout. It must be more than 0. WithRetries and the
// context bound a whole call. An attempt that takes longer ends with os.ErrDeadlineExceeded and may be repeated.
func WithTimeout(timeout time.Duration) SharedOption {
	return sharedOption(func(l *limits) error {
		if timeout <= 0 {
			return errors.New("WithTimeout: the timeout must be more than 0")
		}
		l.timeout = timeout
		return nil
	})
}

// WithRetries bounds a call: it makes at most that many attempts, including the first, and begins none when elapsed has passed since the
// call began. The waits between attempts count, and those for the rate limit. Both must be more than 0. So a call lasts no
// longer than elapsed and one timeout, or than its context. The defaults are DefaultAttempts and DefaultElapsed.
//
// Give a job in the background more: when its rate limit is reached, a call may have to wait for a minute or longer, as others are
// before it.
func WithRetries(attempts int, elapsed time.Duration) SharedOption {
	return sharedOption(func(l *limits) error {
		if attempts < 1 || elapsed <= 0 {
			return errors.New("WithRetries: attempts and elapsed must be more than 0; WithoutRetries switches retries off")
		}
		l.retries = retries{attempts, elapsed}
		return nil
	})
}

// WithoutRetries limits a call to one attempt.
func WithoutRetries() SharedOption {
	return sharedOption(func(l *limits) error {
		l.retries.attempts = 1
		return nil
	})
}

// IfMatch makes an update or a deletion conditional: the API rejects it with ErrPreconditionFailed unless the record still has the
// version of that ETag. The ETag is that of a Record, quotes included. An empty one is an error, so that a conditional change is
// never sent without its condition.
func IfMatch(etag string) CallOption {
	return callOption(func(c *call) error {
		if c.operation != updateProvider && c.operation != deleteProvider {
			return errors.New("IfMatch is for an update or a deletion")
		}
		return setTags(&c.ifMatch, "IfMatch", etag)
	})
}

// IfNoneMatch makes GetProvider return ErrNotModified, and no record, if the record still has the version of that ETag.
func IfNoneMatch(etag string) CallOption {
	return callOption(func(c *call) error {
		if c.operation != getProvider {
			return errors.New("IfNoneMatch is for GetProvider")
		}
		return setTags(&c.ifNoneMatch, "IfNoneMatch", etag)
	})
}

// entityTags is what the contract lets If-Match and If-None-Match be.
var entityTags = regexp.MustCompile(`^[ \t]*(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)[ \t]*$`)

func setTags(tags **string, name, etag string) error {
	if !entityTags.MatchString(etag) {
		return errors.New(name + ` needs the ETag of a record, such as "7" with its quotes`)
	}
	*tags = &etag
	return nil
}

// IdempotencyKey has CreateProvider send a key of yours instead of a random one, so that a program that was restarted can repeat a creation
// without creating a second record. It is 1 to 255 printable ASCII characters, for one record only, and is known to the API for 24
// hours.
func IdempotencyKey(key string) CallOption {
	return callOption(func(c *call) error {
		if c.operation != createProvider {
			return errors.New("IdempotencyKey is for CreateProvider")
		}
		if len(key) < 1 || len(key) > 255 || !headerValue.MatchString(key) {
			return errors.New("IdempotencyKey must be 1 to 255 printable ASCII characters")
		}
		c.idempotencyKey = key
		return nil
	})
}

// quoted returns a text as a string of a structured header (RFC 9651).
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// PageSize sets how many entries ProviderHistory requests at once, from 1 to 100. Without it the server decides.
func PageSize(n int) CallOption {
	return callOption(func(c *call) error {
		if c.operation != listHistory {
			return errors.New("PageSize is for a history; ProviderFilter has a field for it")
		}
		if n < 1 || n > maxPageSize {
			return fmt.Errorf("PageSize must be from 1 to %d", maxPageSize)
		}
		c.pageSize = &n
		return nil
	})
}

// Cursor is where ProviderHistory begins: that of a Page, or of an Error that ended another iteration. Empty is the beginning.
func Cursor(cursor string) CallOption {
	return callOption(func(c *call) error {
		if c.operation != listHistory {
			return errors.New("Cursor is for a history; ProviderFilter has a field for it")
		}
		c.cursor = cursor
		return nil
	})
}

// RequestID names the request in the server's log and in the record's history, for example by the ID that a request to your own program
// has. It must be a UUID. All attempts of a call have it, and all pages of an iteration.
func RequestID(id string) CallOption {
	return callOption(func(c *call) error {
		if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
			return errors.New("RequestID must be a UUID of 36 characters")
		}
		c.requestID = id
		return nil
	})
}

// Header adds a header to each request of the call. The API ignores what the contract does not have; a proxy may not. A header that the
// client or the connection sets is an error, which names the option to use instead.
func Header(name, value string) CallOption {
	return callOption(func(c *call) error {
		if !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return errors.New("Header: the name must be letters, digits and hyphens, and the value printable ASCII")
		}
		name := http.CanonicalHeaderKey(name)
		if instead, ok := ownHeaders[name]; ok {
			return fmt.Errorf("Header: %s cannot be set; %s", name, instead)
		}
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Add(name, value)
		return nil
	})
}

// ownHeaders are the headers that Header refuses, with what to do instead.
var ownHeaders = map[string]string{
	"Accept":              "the client reads JSON only",
	"Accept-Encoding":     "the transport requests gzip itself",
	"Connection":          connectionHeader,
	"Content-Encoding":    "the client sends the body as it is",
	"Content-Length":      connectionHeader,
	"Content-Type":        "the client sends JSON only",
	"Host":                "use WithBaseURL",
	"Idempotency-Key":     "use IdempotencyKey",
	"If-Match":            "use IfMatch",
	"If-None-Match":       "use IfNoneMatch",
	"Keep-Alive":          connectionHeader,
	"Proxy-Authorization": "give the proxy's URL a user and password",
	"Proxy-Connection":    connectionHeader,
	"Te":                  connectionHeader,
	"Trailer":             connectionHeader,
	"Transfer-Encoding":   connectionHeader,
	"Upgrade":             connectionHeader,
	"User-Agent":          "use WithUserAgent, an option of New",
	"X-Api-Key":           "give New the key",
	"X-Request-Id":        "use RequestID",
}

const connectionHeader = "it belongs to the connection; use WithTransport"

var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	headerValue = regexp.MustCompile(`^[ -~]*$`)
)
