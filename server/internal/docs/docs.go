// Package docs shows the contract to people and to tools: as YAML at /openapi.yaml, as JSON at /openapi.json, and as a page to read
// and to send requests from at /docs. All of them list this server first.
//
// The public listener serves it next to the contract's own paths. It needs no API key, and its requests reach neither
// validation nor a store. Everything that the page loads is compiled into the server.
package docs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/swaggest/swgui/v5emb"
)

// Pages are the handlers of GET and HEAD, by path. Package api registers each of them, and rejects other paths and methods.
type Pages map[string]http.Handler

// Options are those of New. The zero value is good.
type Options struct {
	Prefix    string // what is before each path, such as /api
	WithoutUI bool   // the contract alone, without /docs
	TestKeys  string // the path of the dashboard's page that creates a test key for the reference; "" if it is elsewhere
}

// New returns the pages of a contract in YAML. A further page is a further entry of the map below. The paths of the map are without the
// prefix; links have it.
func New(contract []byte, o Options) (Pages, error) {
	contract, err := withThisServer(contract, o.Prefix)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	document, title, err := convert(contract)
	if err != nil {
		return nil, fmt.Errorf("convert the contract to JSON: %w", err)
	}
	pages := Pages{
		"/openapi.yaml": file("application/yaml", contract),
		"/openapi.json": file("application/json", document),
	}
	if !o.WithoutUI {
		if err := pages.addUI(title, o); err != nil {
			return nil, fmt.Errorf("write the docs page: %w", err)
		}
	}
	for path, page := range pages {
		pages[path] = withHeaders(page)
	}
	return pages, nil
}

// addUI adds the page /docs and the files that it loads.
func (p Pages) addUI(title string, o Options) error {
	var page bytes.Buffer
	if err := swaggerTemplate.Execute(&page, map[string]string{"Title": title, "Prefix": o.Prefix, "TestKeys": o.TestKeys}); err != nil {
		return err
	}
	html := file("text/html; charset=utf-8", page.Bytes())
	p["/docs"], p["/docs/"] = html, html
	p["/docs/swagger.css"] = file("text/css; charset=utf-8", swaggerCSS)
	p["/docs/swagger.js"] = file("text/javascript; charset=utf-8", swaggerJS)
	// Of the files of Swagger UI, those that the page uses.
	assets := v5emb.New(title, "/openapi.json", "/docs")
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"} {
		p["/docs/"+name] = assets
	}
	return nil
}

//go:embed swagger.html
var swaggerHTML string

//go:embed swagger.css
var swaggerCSS []byte

//go:embed swagger.js
var swaggerJS []byte

var swaggerTemplate = template.Must(template.New("swagger.html").Parse(swaggerHTML))

// policy lets the page load from this server and send requests to it, and nothing else. The data: images are icons in Swagger
// UI's style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// withHeaders sets the headers of every page.
func withHeaders(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-cache") // may be kept, and revalidated by its ETag
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		page.ServeHTTP(w, r)
	})
}

// file serves content, or a 304 to a caller that has it.
func file(contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header()["ETag"] = []string{tag} // spelled as in RFC 9110
		if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content) // a caller that has left needs no page
	})
}
