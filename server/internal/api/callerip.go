package api

import (
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// CallerIP returns how to find out the IP address of a caller: the last one in X-Forwarded-For that is not a trusted proxy's, or
// the address of the connection if that is not a trusted proxy's. The other side of a Unix socket is trusted.
func CallerIP(proxies []*net.IPNet) func(*http.Request) string {
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

// IsSecure returns how to find out whether a caller uses TLS: with this server, or with a trusted proxy that says so in
// X-Forwarded-Proto.
func IsSecure(proxies []*net.IPNet) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if r.TLS != nil {
			return true
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		trusted := err != nil // a Unix socket
		for _, proxy := range proxies {
			trusted = trusted || proxy.Contains(net.ParseIP(host))
		}
		return trusted && r.Header.Get("X-Forwarded-Proto") == "https"
	}
}
