package command

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/dashboard"
)

// newDashboard returns the dashboard of an API. public is the address of the API's listener.
func (s serveCommand) newDashboard(st store, ready *api.API, public string) (http.Handler, error) {
	isSecure := api.IsSecure(s.proxies())
	config := dashboard.Config{
		Store: st, API: ready, Limiter: apikey.NewLimiter(time.Now), CallerIP: api.CallerIP(s.proxies()), IsSecure: isSecure, Demo: s.Demo,
		APIURL: func(*http.Request) string { return scheme(s.TLSCert != "") + public + string(s.PathPrefix) },
	}
	if s.OIDCIssuer != "" {
		secret, err := os.ReadFile(s.OIDCSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--oidc-client-secret-file: %w", err)
		}
		if len(bytes.TrimSpace(secret)) == 0 {
			return nil, fmt.Errorf("--oidc-client-secret-file: %s is empty; put the secret into it that the issuer gave to this server", s.OIDCSecretFile)
		}
		config.OpenID = &dashboard.OpenID{Issuer: s.OIDCIssuer, ClientID: s.OIDCClientID, ClientSecret: string(bytes.TrimSpace(secret)), Timeout: 10 * time.Second}
	}
	if s.Dashboard == "public" {
		if s.Docs != "off" {
			config.Docs = string(s.PathPrefix) + "/docs"
		}
		config.APIURL = func(r *http.Request) string { return scheme(isSecure(r)) + r.Host + string(s.PathPrefix) }
	}
	pages, err := dashboard.New(config)
	if err != nil {
		return nil, err
	}
	return ready.Logged("dashboard", pages), nil
}

func scheme(secure bool) string {
	if secure {
		return "https://"
	}
	return "http://"
}

// withDashboard serves the dashboard below its path, and the rest by next.
func withDashboard(pages, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == dashboardPath:
			http.Redirect(w, r, dashboardPath+"/", http.StatusSeeOther)
		case strings.HasPrefix(r.URL.Path, dashboardPath+"/"):
			pages.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

const dashboardPath = "/dashboard"
