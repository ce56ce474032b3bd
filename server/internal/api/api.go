// Package api handles the requests of the public listener: it implements the interface that is generated from openapi.yaml.
//
// Every request gets a request ID (request.go), a line in the access log (accesslog.go), and recovery from panics
// (recover.go). On the routes of the contract, the audit trail (audit.go), the API key and its limits come next (authenticate.go), then validation
// (package validate), the generated wrapper, which binds the body (body.go), and a handler (one file for each resource),
// which calls a store. Any error becomes a response in one place (errors.go), with a text from another (messages.go).
//
// To add an operation, add it to openapi.yaml and run go generate ./...: API no longer implements
// gen.StrictServerInterface, and the compiler names the method to write. Its permission, its validation and its
// preconditions follow from the contract.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
)

// Config holds what an API needs. Every field but Prefix, Usage, Audit, LogSuccess, Proxies and Tracer is required.
type Config struct {
	Contract *openapi3.T
	Prefix   string // of all paths but those of the probes, such as /api
	Docs     docs.Pages
	Store    provider.Store
	Ready    func(context.Context) error // returns nil if a change could be saved now
	Ping     func(context.Context) error // the store's, which makes a change
	Keys     *apikey.Verifier
	Limiter  *apikey.Limiter
	Metrics  *metrics.Metrics
	Usage    *usage.Recorder // nil if nobody looks at it
	Log      *slog.Logger
	Audit    *audit.Trail // nil for none

	LogSuccess func() bool  // reports whether the next successful request is logged; nil if each is
	Proxies    []*net.IPNet // whose X-Forwarded-For is trusted; nil for none
	Tracer     trace.Tracer // nil if requests are not traced
}

// API implements the operations of the contract. Its handler is that of the public listener.
type API struct {
	Config
	http.Handler
	bodies     *semaphore.Weighted // bytes; see maxBodies
	wrongKeys  summary
	overLimit  overLimit
	outage     *outage             // nil until the store is open
	patchTypes map[string][]string // the media types of a PATCH, by Echo's path
}

var _ gen.StrictServerInterface = (*API)(nil)

// New returns an API whose handler serves the contract's paths, the documentation, /livez and /readyz. Close it when it serves
// no more.
func New(config Config) (*API, error) {
	a := &API{
		Config: config, bodies: semaphore.NewWeighted(maxBodies), wrongKeys: summary{log: config.Log}, overLimit: overLimit{trail: config.Audit},
		outage: newOutage(config.Ping, config.Log), patchTypes: map[string][]string{},
	}
	if a.Tracer != nil {
		a.Store = tracedStore{a.Store, a}
	}
	e := a.newEcho()
	e.Binder = binder{}
	e.Pre(decodePath, a.stripPrefix, closeChunked)
	e.Use(a.acceptPatch)
	middlewares, err := a.operationMiddlewares()
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	gen.RegisterHandlersWithOptions(withHead{e}, gen.NewStrictHandler(a, a.strictMiddlewares()), gen.RegisterHandlersOptions{OperationMiddlewares: middlewares})
	closeParameters(e)

	read := []string{http.MethodGet, http.MethodHead}
	for path, page := range config.Docs {
		e.Match(read, path, echo.WrapHandler(page), named("docs"))
	}
	e.Match(read, livePath, handleLive, named("probe"))
	e.Match(read, readyPath, a.handleReady, named("probe"))
	a.Handler = e
	return a, nil
}

// named names what is not an operation of the contract, for the log and the metrics.
func named(operation string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			infoOf(c.Request().Context()).operation = operation
			return next(c)
		}
	}
}

// Close logs and audits what has not been yet.
func (a *API) Close() {
	a.outage.close()
	a.wrongKeys.write()
	a.overLimit.write()
}

// newEcho returns an Echo with what every request gets.
func (a *API) newEcho() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = a.handleError
	e.IPExtractor = CallerIP(a.Proxies)
	e.Use(a.assignRequestID, a.accessLog, recoverPanics)
	return e
}

// Starting returns the handler of the public listener until the store is open: /livez responds, and everything else is
// unavailable. It uses the Log, the Metrics and the Proxies of the configuration.
func Starting(config Config) http.Handler {
	a := &API{Config: config}
	e := a.newEcho()
	e.Match([]string{http.MethodGet, http.MethodHead}, livePath, handleLive, named("probe"))
	e.RouteNotFound("/*", func(echo.Context) error { return provider.Unavailable(5*time.Second, errStarting) })
	return e
}

var errStarting = errors.New("the server is starting")

// operationMiddlewares returns what runs before the handler of each operation of the contract, by operationId.
func (a *API) operationMiddlewares() (map[string][]echo.MiddlewareFunc, error) {
	validators, err := validate.Operations(a.Contract)
	if err != nil {
		return nil, err
	}
	middlewares := map[string][]echo.MiddlewareFunc{}
	for path, item := range a.Contract.Paths.Map() {
		for method, operation := range item.Operations() {
			permission, err := requiredPermission(operation)
			if err != nil {
				return nil, fmt.Errorf("operation %s %s: %w", method, path, err)
			}
			id := operation.OperationID
			middlewares[id] = []echo.MiddlewareFunc{a.authenticate(id, permission), a.validate(validators[id])}
			if a.Audit != nil {
				middlewares[id] = slices.Insert(middlewares[id], 0, a.auditRefusals(id))
			}
			if a.Tracer != nil {
				middlewares[id] = slices.Insert(middlewares[id], 0, a.traceRequest(path))
			}
			if method == http.MethodPatch {
				a.patchTypes[pathParameter.ReplaceAllString(path, ":$1")] = validators[id].MediaTypes()
			}
		}
	}
	return middlewares, nil
}

// requiredPermission returns the permission that the contract requires for an operation. An operation that names none is
// an error, so that it is not open to every key.
func requiredPermission(operation *openapi3.Operation) (apikey.Permission, error) {
	name, ok := operation.Extensions["x-required-permission"].(string)
	if !ok {
		return "", errors.New("it lacks x-required-permission")
	}
	return apikey.ParsePermission(name)
}
