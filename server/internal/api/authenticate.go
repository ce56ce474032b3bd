package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/labstack/echo/v4"
)

// authenticate lets requests of an operation through whose key is valid, within its limit and allowed to do what the
// operation does. It reads no body: who has no key costs nothing and learns nothing.
func (a *API) authenticate(operation string, needed apikey.Permission) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			caller := callerOf(c.Request().Context())
			caller.operation = operation
			key, err := a.verify(c)
			if err != nil {
				return err
			}
			caller.key = key
			if wait, ok := a.Limiter.Allow(key); !ok {
				return rateLimited(wait)
			}
			if !key.Allows(needed) {
				return &problem{status: http.StatusForbidden, code: "FORBIDDEN", message: "This API key lacks the permission " + string(needed) + "."}
			}
			return next(c)
		}
	}
}

func (a *API) verify(c echo.Context) (*apikey.Key, error) {
	err := apikey.ErrInvalid
	if secrets := c.Request().Header.Values("X-Api-Key"); len(secrets) == 1 {
		var key *apikey.Key
		if key, err = a.Keys.Verify(c.Request().Context(), secrets[0]); err == nil {
			return key, nil
		}
	}
	if !errors.Is(err, apikey.ErrInvalid) {
		return nil, provider.Unavailable(5*time.Second, err)
	}
	if wait, ok := a.Limiter.Failed(c.RealIP()); !ok {
		return nil, rateLimited(wait)
	}
	return nil, errUnauthorized
}

func rateLimited(wait time.Duration) error {
	return &problem{
		status: http.StatusTooManyRequests, code: "RATE_LIMIT_EXCEEDED", retryAfter: wait,
		message: "Too many requests; wait as many seconds as retryAfter says.",
	}
}
