package api

import (
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// callerIP returns how to find out the IP address of a caller: the last one in X-Forwarded-For that is not a trusted proxy's, or
// the address of the connection if that is not a trusted proxy's. The other side of a Unix socket is trusted.
func callerIP(proxies []*net.IPNet) echo.IPExtractor {
	trust := []echo.TrustOption{echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, proxy := range proxies {
		trust = append(trust, echo.TrustIPRange(proxy))
	}
	direct := echo.ExtractIPDirect()
	if len(proxies) > 0 {
		direct = echo.ExtractIPFromXFFHeader(append(trust, echo.TrustLoopback(false))...)
	}
	local := echo.ExtractIPFromXFFHeader(append(trust, echo.TrustLoopback(true))...)
	return func(r *http.Request) string {
		if _, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			return direct(r)
		}
		// A Unix socket has no address. Who may connect to it is a proxy on this machine.
		here := *r
		here.RemoteAddr = "127.0.0.1:0"
		return local(&here)
	}
}
