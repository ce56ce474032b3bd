// Package api answers the contract's operations: it implements the interface that is generated from openapi.yaml.
//
// Every request gets a request ID, a line in the access log, and recovery from panics (observe.go). On the routes of the
// contract the API key and its limits follow (authenticate.go), then validation (package validate, body.go), the generated
// wrapper, which binds the body (body.go), and a handler (one file for each resource), which calls a store. An error
// anywhere becomes a response in one place (errors.go).
//
// To add an operation, add it to openapi.yaml and run go generate ./...: API no longer implements
// gen.StrictServerInterface, and the compiler names the method to write.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

// Config is what an API works with. Every field is required.
type Config struct {
	Contract *openapi3.T
	Docs     http.Handler // answers /docs, /openapi.yaml and /openapi.json
	Store    provider.Store
	Ready    func(context.Context) error // nil if requests can be served
	Keys     *apikey.Verifier
	Limiter  *apikey.Limiter
	Metrics  *metrics.Metrics
	Log      *slog.Logger
}

// API implements the operations of the contract.
type API struct{ Config }

var _ gen.StrictServerInterface = (*API)(nil)

// New returns the handler of the public listener: the contract's paths, the documentation, /livez and /readyz.
func New(config Config) (http.Handler, error) {
	a := &API{config}
	e := echo.New()
	e.Binder = binder{}
	e.HTTPErrorHandler = a.handleError
	e.IPExtractor = echo.ExtractIPDirect()
	e.Pre(decodePath)
	e.Use(a.identify, a.observe, a.recover)

	validators, err := validate.Operations(config.Contract)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	guards := map[string][]echo.MiddlewareFunc{}
	for path, item := range config.Contract.Paths.Map() {
		for method, operation := range item.Operations() {
			permission, err := permission(operation)
			if err != nil {
				return nil, fmt.Errorf("read the contract: operation %s %s: %w", method, path, err)
			}
			id := operation.OperationID
			guards[id] = []echo.MiddlewareFunc{a.authenticate(id, permission), a.validate(validators[id])}
		}
	}
	gen.RegisterHandlersWithOptions(e, gen.NewStrictHandler(a, nil), gen.RegisterHandlersOptions{OperationMiddlewares: guards})
	routes := e.Routes()
	for _, route := range routes {
		below := slices.ContainsFunc(routes, func(r *echo.Route) bool { return strings.HasPrefix(r.Path, route.Path+"/") })
		if strings.HasPrefix(path.Base(route.Path), ":") && !below {
			// Echo lets a parameter at the end of a route take all that follows, unless something lies below it.
			e.RouteNotFound(route.Path+"/*", echo.NotFoundHandler)
		}
	}

	for _, path := range []string{"/docs", "/docs/*", "/openapi.yaml", "/openapi.json"} {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, echo.WrapHandler(config.Docs))
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, "/livez", ok)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", a.ready)
	return e, nil
}

// decodePath has Echo route by the decoded path: %61 is a (RFC 3986, 6.2.2.2). An encoded slash is no slash, and no
// parameter of the contract has one in it.
func decodePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		url := c.Request().URL
		if strings.Contains(strings.ToLower(url.RawPath), "%2f") {
			url.Path = "/%2f" // where there is nothing
		}
		url.RawPath = ""
		return next(c)
	}
}

// permission returns what the contract says that an operation's key must be allowed to do. An operation that does not
// say it is refused at the start, lest it be open to every key.
func permission(operation *openapi3.Operation) (apikey.Permission, error) {
	name, ok := operation.Extensions["x-required-permission"].(string)
	if !ok {
		return "", errors.New("it lacks x-required-permission")
	}
	return apikey.ParsePermission(name)
}

func ok(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

func (a *API) ready(c echo.Context) error {
	if err := a.Ready(c.Request().Context()); err != nil {
		return provider.Down(err)
	}
	return ok(c)
}
