package api

import (
	"net"

	"github.com/labstack/echo/v4"
)

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
