package api

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
)

// requestInfo is what the layers before the handler find out about a request.
type requestInfo struct {
	requestID string
	operation string      // the contract's operationId, "probe", "docs", "dashboard", or "other"
	key       *apikey.Key // nil before authentication
	verified  bool        // key is an API key that the request has sent
	body      validate.Checked
	err       error      // what Fail was called with
	span      trace.Span // nil if the request is not traced
	summarize bool       // count the request in a line about many, instead of giving it one of its own
	audited   bool       // the audit trail has its line, or cannot be written
}

type requestInfoKey struct{}

// infoOf returns the requestInfo of a request that went through assignRequestID.
func infoOf(ctx context.Context) *requestInfo { return ctx.Value(requestInfoKey{}).(*requestInfo) }

// assignRequestID gives the request an ID and sets the headers that every response has. It keeps the ID that a client or a proxy sends
// if that is a UUID or, as from nginx, its digits alone: it holds no words.
func (a *API) assignRequestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, header := c.Request(), c.Response().Header()
		id := request.Header.Get("X-Request-Id")
		if (len(id) != 36 && len(id) != 32) || uuid.Validate(id) != nil {
			id = uuid.Must(uuid.NewV7()).String()
		}
		header.Set("X-Request-Id", id)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		info := &requestInfo{requestID: id, operation: "other"}
		c.SetRequest(request.WithContext(context.WithValue(request.Context(), requestInfoKey{}, info)))
		return next(c)
	}
}
