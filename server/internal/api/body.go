package api

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// maxBodies bounds the memory that the bodies of all requests in flight take, in bytes: 512 of the largest.
const maxBodies = 512 * validate.MaxBody

// validate lets only requests pass that keep to the contract of an operation, and leaves their body to the binder.
func (a *API) validate(o *validate.Operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			size := c.Request().ContentLength
			if size < 0 || size > validate.MaxBody { // unknown, or rejected before it is read
				size = validate.MaxBody
			}
			if !a.bodies.TryAcquire(size) {
				return provider.Unavailable(time.Second, errors.New("too many bodies in flight"))
			}
			defer a.bodies.Release(size)
			buffer := requestBuffers.Get().(*bytes.Buffer)
			defer requestBuffers.Put(buffer) // the binder copies what it takes
			info := infoOf(c.Request().Context())
			validating := a.begin(info, "validation")
			body, err := o.Check(c, buffer)
			validating.end(err)
			if err != nil {
				return err
			}
			info.body = body
			return next(c)
		}
	}
}

var requestBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// binder gives the generated handlers the body that validate has let pass.
type binder struct{}

// Bind implements [echo.Binder] for the request bodies of the contract. Names match exactly. Its errors hold nothing of the
// body.
func (binder) Bind(target any, c echo.Context) error {
	body := infoOf(c.Request().Context()).body
	patch, ok := target.(*property.Patch)
	if !ok {
		if json.Unmarshal(body.Text(), target) != nil { // the cause quotes the text
			return fmt.Errorf("bind a valid body to %T, which does not belong to its schema", target)
		}
		return nil
	}
	for name, value := range body.All() {
		if !wire.Set(patch, name, value) {
			return errors.New("bind a property that package property does not have; run go generate")
		}
	}
	return nil
}
