// Package api handles the requests of the public listener: it implements the interface that is generated from openapi.yaml.
//
// Every request gets a request ID (request.go), a line in the access log (accesslog.go), and recovery from panics
// (recover.go). On the routes of the contract, the API key and its limits come next (authenticate.go), then validation
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
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"
)

// Config holds what an API needs. Every field but Proxies is required.
type Config struct {
	Contract *openapi3.T
	Docs     docs.Pages
	Store    provider.Store
	Ready    func(context.Context) error // returns nil if a change could be saved now
	Keys     *apikey.Verifier
	Limiter  *apikey.Limiter
	Metrics  *metrics.Metrics
	Log      *slog.Logger
	Proxies  []*net.IPNet // whose X-Forwarded-For is trusted; nil for none
}

// API implements the operations of the contract. Its handler is that of the public listener.
type API struct {
	Config
	http.Handler
	bodies     *semaphore.Weighted // bytes; see maxBodies
	wrongKeys  summary
	patchTypes map[string][]string // the media types of a PATCH, by Echo's path
}

var _ gen.StrictServerInterface = (*API)(nil)

// New returns an API whose handler serves the contract's paths, the documentation, /livez and /readyz. Close it when it serves
// no more.
func New(config Config) (*API, error) {
	a := &API{Config: config, bodies: semaphore.NewWeighted(maxBodies), wrongKeys: summary{log: config.Log}, patchTypes: map[string][]string{}}
	e := a.newEcho()
	e.Binder = binder{}
	e.Pre(decodePath, closeChunked)
	e.Use(a.acceptPatch)
	middlewares, err := a.operationMiddlewares()
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	gen.RegisterHandlersWithOptions(withHead{e}, gen.NewStrictHandler(a, nil), gen.RegisterHandlersOptions{OperationMiddlewares: middlewares})
	closeParameters(e)

	read := []string{http.MethodGet, http.MethodHead}
	for path, page := range config.Docs {
		e.Match(read, path, echo.WrapHandler(page))
	}
	e.Match(read, "/livez", handleLive)
	e.Match(read, "/readyz", a.handleReady)
	a.Handler = e
	return a, nil
}

// Close logs what has not been logged yet.
func (a *API) Close() { a.wrongKeys.write() }

// newEcho returns an Echo with what every request gets.
func (a *API) newEcho() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = a.handleError
	e.IPExtractor = callerIP(a.Proxies)
	e.Use(a.assignRequestID, a.accessLog, recoverPanics)
	return e
}

// Starting returns the handler of the public listener until the store is open: /livez responds, and everything else is
// unavailable. It uses the Log, the Metrics and the Proxies of the configuration.
func Starting(config Config) http.Handler {
	a := &API{Config: config}
	e := a.newEcho()
	e.Match([]string{http.MethodGet, http.MethodHead}, "/livez", handleLive)
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
			if method == http.MethodPatch {
				a.patchTypes[pathParameter.ReplaceAllString(path, ":$1")] = validators[id].MediaTypes()
			}
		}
	}
	return middlewares, nil
}

// callerIP returns how to find out the IP address of a caller: the last one in X-Forwarded-For that is not a trusted proxy's, or
// the address of the connection if that is not a trusted proxy's.
func callerIP(proxies []*net.IPNet) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, proxy := range proxies {
		trust = append(trust, echo.TrustIPRange(proxy))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

var pathParameter = regexp.MustCompile(`{(\w+)}`)

// withHead registers a HEAD for each GET. The handler is the same; net/http leaves out the body.
type withHead struct{ *echo.Echo }

// GET registers the handler for GET and HEAD.
func (e withHead) GET(path string, handler echo.HandlerFunc, middlewares ...echo.MiddlewareFunc) *echo.Route {
	e.Echo.HEAD(path, handler, middlewares...)
	return e.Echo.GET(path, handler, middlewares...)
}

// acceptPatch adds to the response to OPTIONS which media types a PATCH accepts (RFC 5789, 3.1).
func (a *API) acceptPatch(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if accepted := a.patchTypes[c.Path()]; accepted != nil && c.Request().Method == http.MethodOptions {
			c.Response().Header().Set("Accept-Patch", strings.Join(accepted, ", "))
		}
		return next(c)
	}
}

// closeParameters stops a parameter at the end of a route from matching beyond a slash, as Echo lets it where no longer route
// exists.
func closeParameters(e *echo.Echo) {
	routes := e.Routes()
	for _, route := range routes {
		below := slices.ContainsFunc(routes, func(r *echo.Route) bool { return strings.HasPrefix(r.Path, route.Path+"/") })
		if strings.HasPrefix(path.Base(route.Path), ":") && !below {
			e.RouteNotFound(route.Path+"/*", echo.NotFoundHandler)
		}
	}
}

// decodePath makes Echo route by the decoded path: %61 is a (RFC 3986, 6.2.2.2). An encoded slash is not a slash, and no
// parameter of the contract has one.
func decodePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		url := c.Request().URL
		if strings.Contains(strings.ToLower(url.RawPath), "%2f") {
			url.Path = "/%2f" // which no route has
		}
		url.RawPath = ""
		return next(c)
	}
}

// closeChunked closes the connection after a request with a chunked body. A request that has a length as well, which a proxy may
// have read differently, must be the last one on its connection (RFC 9112, 6.1), and net/http does not tell the two apart.
func closeChunked(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if len(c.Request().TransferEncoding) > 0 {
			c.Response().Header().Set("Connection", "close")
		}
		return next(c)
	}
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

func handleLive(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

func (a *API) handleReady(c echo.Context) error {
	if err := a.Ready(c.Request().Context()); err != nil {
		return provider.Unavailable(5*time.Second, err)
	}
	return handleLive(c)
}
