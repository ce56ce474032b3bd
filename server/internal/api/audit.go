package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// The audit trail has a line for each request of an operation with a valid key, and for each wrong key that is not beyond the limit on
// them; see package audit. The line is written before the response: that of a success here, between the handler and its response, and
// that of an error by auditRefusals, around everything that can reject a request.
//
// Requests beyond a limit touch nothing, and their number is up to their caller. They share a line a second for each key, and one for
// all wrong keys.

// strictMiddlewares returns what runs around the handlers, once requests are bound.
func (a *API) strictMiddlewares() []gen.StrictMiddlewareFunc {
	if a.Audit == nil {
		return nil
	}
	return []gen.StrictMiddlewareFunc{a.auditSuccesses}
}

// auditSuccesses sends a response once the trail has it.
func (a *API) auditSuccesses(next gen.StrictHandlerFunc, _ string) gen.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if err != nil {
			return nil, err
		}
		e := newEntry(c)
		describeSuccess(&e, response)
		if err := a.audit(c, e, changes(c)); err != nil {
			return nil, err
		}
		return response, nil
	}
}

// describeSuccess adds to an entry what a response says, and which records it returns, if they are not those in the path.
func describeSuccess(e *audit.Entry, response any) {
	e.Status = http.StatusOK
	switch r := response.(type) {
	case providerResponse:
		e.Status, e.Records = r.status, []uuid.UUID{r.record.ID}
	case notModified:
		e.Status = http.StatusNotModified
		return // the record was not returned
	case listResponse:
		for i := range r.records {
			e.Records = append(e.Records, r.records[i].ID)
		}
	}
	e.Count = len(e.Records)
}

// auditRefusals records the requests of an operation that have an error. While the trail cannot be written, it rejects all of them
// before they do anything.
func (a *API) auditRefusals(operation string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		next = recoverPanics(next) // a request that panics has a line, too
		return func(c echo.Context) error {
			info := infoOf(c.Request().Context())
			info.operation = operation
			if err := a.Audit.Err(); err != nil {
				return provider.Unavailable(auditRetry, err)
			}
			err := next(c)
			if err == nil || info.audited {
				return err
			}
			e, p := newEntry(c), problemOf(err)
			e.Status, e.Code = p.status, p.code
			switch {
			case p.status == http.StatusTooManyRequests:
				a.overLimit.add(e)
				return err
			case info.key == nil && p.status != http.StatusUnauthorized:
				return err // nobody knows whether the key is valid
			}
			unknown := provider.CodeOf(err) == provider.CodeOutcomeUnknown
			if auditErr := a.audit(c, e, unknown); auditErr != nil {
				return auditErr
			}
			return err
		}
	}
}

// auditRetry is when a caller may try again, if the trail cannot be written. It tries once a second itself.
const auditRetry = 5 * time.Second

// audit records an entry, durably if the request may have changed something. An error is the response to send instead: nothing
// was returned, and whether something was changed is unknown to the caller if it may have been.
func (a *API) audit(c echo.Context, e audit.Entry, changed bool) error {
	ctx := c.Request().Context()
	infoOf(ctx).audited = true
	if !changed {
		if err := a.Audit.Record(ctx, e); err != nil {
			return provider.Unavailable(auditRetry, err)
		}
		return nil
	}
	if err := a.Audit.RecordDurably(ctx, e); err != nil {
		e.Status, e.Code = errAuditOfChange.status, errAuditOfChange.code
		a.Audit.Owe(e)
		return provider.OutcomeUnknown(err)
	}
	return nil
}

var errAuditOfChange = outcomeUnknown(0)

func changes(c echo.Context) bool {
	method := c.Request().Method
	return method != http.MethodGet && method != http.MethodHead
}

// newEntry returns what is known of a request before its outcome: the customer and the record are those in the path, if they are UUIDs.
func newEntry(c echo.Context) audit.Entry {
	info := infoOf(c.Request().Context())
	e := audit.Entry{Operation: info.operation, Request: info.requestID, Client: c.RealIP()}
	if key := info.key; key != nil {
		e.Key, e.Organization, e.OrganizationName = key.ID, key.Organization, key.OrganizationName
	}
	if customer, ok := parsePathID(c.Param("id")); ok {
		e.Customer = &customer
	}
	if record, ok := parsePathID(c.Param("providerId")); ok {
		e.Records = []uuid.UUID{record}
	}
	return e
}

// parsePathID returns an ID in the only form that the contract allows.
func parsePathID(text string) (uuid.UUID, bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && len(text) == len(uuid.UUID{}.String())
}

// overLimit counts requests that are beyond a limit, and has the trail record their number.
type overLimit struct {
	trail *audit.Trail

	mu      sync.Mutex
	entries map[string]*audit.Entry // by key
}

// add counts a request. The line has what the first one of its key had, but for the record.
func (o *overLimit) add(e audit.Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		o.entries = map[string]*audit.Entry{}
		time.AfterFunc(summaryInterval, o.write) // unless Close is first
	}
	if o.entries[e.Key] == nil {
		e.Customer, e.Records, e.Request, e.Operation = nil, nil, "", ""
		o.entries[e.Key] = &e
	}
	o.entries[e.Key].Requests++
}

func (o *overLimit) write() {
	o.mu.Lock()
	entries := o.entries
	o.entries = nil
	o.mu.Unlock()
	for _, e := range entries {
		if err := o.trail.Record(context.Background(), *e); err != nil {
			return // the trail has logged it, and requests are refused
		}
	}
}
