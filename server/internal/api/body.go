package api

import (
	"bytes"
	"errors"
	"sync"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/labstack/echo/v4"
)

// validate lets only requests pass that keep to the contract of an operation, and leaves their body to the binder.
func (a *API) validate(o *validate.Operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			buffer := texts.Get().(*bytes.Buffer)
			defer texts.Put(buffer) // the binder copies what it takes
			body, err := o.Check(c, buffer)
			if err != nil {
				return err
			}
			callerOf(c.Request().Context()).body = body
			return next(c)
		}
	}
}

var texts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// binder gives the generated handlers the body that validate has let pass.
type binder struct{}

// Bind implements [echo.Binder] for the request bodies of the contract.
func (binder) Bind(target any, c echo.Context) error {
	patch, ok := target.(*property.Patch)
	if !ok {
		return errors.New("bind a body that is no patch of a record; gen/overlay.yaml says which are")
	}
	for name, value := range callerOf(c.Request().Context()).body.All() {
		if !wire.Set(patch, name, value) {
			return errors.New("bind a property that package record does not have; run go generate ./...")
		}
	}
	return nil
}
