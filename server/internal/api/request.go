package api

import (
	"context"
	"strings"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// caller is what the layers before the handler have found out about a request.
type caller struct {
	requestID string
	operation string      // the contract's operationId; "other" outside the contract's paths
	key       *apikey.Key // nil before authentication
	body      validate.Checked
}

type callerKey struct{}

// callerOf returns the caller of a request that went through assignRequestID.
func callerOf(ctx context.Context) *caller { return ctx.Value(callerKey{}).(*caller) }

// The values of headers that every response has. They are shared, and so never changed in place.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// assignRequestID gives the request an ID and sets the headers that every response has. The ID that a client sends is kept
// if it is a UUID, which holds no words.
func (a *API) assignRequestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, header := c.Request(), c.Response().Header()
		id := request.Header.Get("X-Request-Id")
		if parsed, err := uuid.Parse(id); err != nil || parsed.String() != strings.ToLower(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		header.Set("X-Request-Id", id)
		header["Cache-Control"] = noStore
		header["X-Content-Type-Options"] = noSniff
		c.SetRequest(request.WithContext(context.WithValue(request.Context(), callerKey{}, &caller{requestID: id, operation: "other"})))
		return next(c)
	}
}
