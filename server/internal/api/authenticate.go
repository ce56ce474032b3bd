package api

import (
	"errors"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/labstack/echo/v4"
)

// authenticate lets requests of an operation pass whose key is valid, within its limit and allowed to do what the operation
// does. It reads no body: a caller without a key costs nothing and learns nothing.
func (a *API) authenticate(operation string, needed apikey.Permission) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			info := infoOf(c.Request().Context())
			info.operation = operation
			key, err := a.verify(c)
			if err != nil {
				return err
			}
			info.key = key
			if wait, ok := a.Limiter.Allow(key); !ok {
				return rateLimited(wait)
			}
			if !key.Allows(needed) {
				return forbidden(needed)
			}
			return next(c)
		}
	}
}

func (a *API) verify(c echo.Context) (*apikey.Key, error) {
	caller, err := c.RealIP(), apikey.ErrInvalid
	verify := a.Keys.Verify
	if a.Limiter.Blocked(caller) {
		verify = a.Keys.VerifyKnown
	}
	if secrets := c.Request().Header.Values("X-Api-Key"); len(secrets) == 1 {
		var key *apikey.Key
		if key, err = verify(c.Request().Context(), secrets[0]); err == nil {
			return key, nil
		}
	}
	if !errors.Is(err, apikey.ErrInvalid) {
		return nil, provider.Unavailable(5*time.Second, err)
	}
	if wait, ok := a.Limiter.Failed(caller); !ok {
		infoOf(c.Request().Context()).summarize = true
		return nil, rateLimited(wait)
	}
	return nil, errUnauthorized
}
