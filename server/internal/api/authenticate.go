package api

import (
	"errors"
	"strconv"
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
			if call, ok := c.Request().Context().Value(inProcessKey{}).(inProcess); ok {
				info.key = call.caller
			} else {
				verifying := a.begin(info, "key")
				key, err := a.verify(c)
				verifying.end(err)
				if err != nil {
					return err
				}
				info.key, info.verified = key, true
				if err := a.limit(c, key); err != nil {
					return err
				}
			}
			if info.key.Suspended {
				return errSuspended
			}
			if !info.key.Allows(needed) {
				return forbidden(needed)
			}
			return next(c)
		}
	}
}

// verify returns the key of a request. It can be that of a suspended organization.
func (a *API) verify(c echo.Context) (*apikey.Key, error) {
	caller, err := c.RealIP(), apikey.ErrInvalid
	verify := a.Keys.Verify
	if a.Limiter.Blocked(caller) {
		verify = a.Keys.VerifyKnown
	}
	if secrets := c.Request().Header.Values("X-Api-Key"); len(secrets) == 1 {
		var key *apikey.Key
		if key, err = verify(c.Request().Context(), secrets[0]); err == nil || errors.Is(err, apikey.ErrSuspended) {
			return key, nil
		}
	}
	if !errors.Is(err, apikey.ErrInvalid) {
		return nil, provider.Unavailable(5*time.Second, err)
	}
	if failed := a.Limiter.Failed(caller); !failed.Allowed {
		infoOf(c.Request().Context()).summarize = true
		return nil, rateLimited(failed.RetryAfter)
	}
	return nil, errUnauthorized
}

// limit counts a use of the key, and tells its caller what is left of the limit, in the headers of
// draft-ietf-httpapi-ratelimit-headers-10: q requests in w seconds; r more now, and all of them again in t seconds.
func (a *API) limit(c echo.Context, key *apikey.Key) error {
	allowance := a.Limiter.Allow(c.Request().Context(), key)
	if key.RateLimit > 0 {
		header, scratch := c.Response().Header(), [64]byte{}
		b := strconv.AppendInt(append(scratch[:0], `"key";q=`...), int64(key.RateLimit), 10)
		header["RateLimit-Policy"] = []string{string(append(b, ";w=60"...))}
		b = strconv.AppendInt(append(scratch[:0], `"key";r=`...), int64(allowance.Remaining), 10)
		b = strconv.AppendInt(append(b, ";t="...), int64(allowance.Full/time.Second), 10)
		header["RateLimit"] = []string{string(b)}
	}
	if !allowance.Allowed {
		return rateLimited(allowance.RetryAfter)
	}
	return nil
}
