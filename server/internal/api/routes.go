package api

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

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
			url.Path = noPath
		}
		url.RawPath = ""
		return next(c)
	}
}

const (
	livePath  = "/livez"
	readyPath = "/readyz"
	noPath    = "/%2f" // which no route has
)

// IsProbe reports whether a path is that of a probe.
func IsProbe(path string) bool { return path == livePath || path == readyPath }

// stripPrefix makes Echo route by what follows the prefix. The probes are without it.
func (a *API) stripPrefix(next echo.HandlerFunc) echo.HandlerFunc {
	if a.Prefix == "" {
		return next
	}
	return func(c echo.Context) error {
		url := c.Request().URL
		if IsProbe(url.Path) {
			return next(c)
		}
		rest, found := strings.CutPrefix(url.Path, a.Prefix+"/")
		url.Path = "/" + rest
		if !found || IsProbe(url.Path) {
			url.Path = noPath
		}
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
