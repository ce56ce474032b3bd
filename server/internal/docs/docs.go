// Package docs shows the contract to people and to tools: at /openapi.yaml to the letter, at /openapi.json as JSON,
// and at /docs as a page to read and to try requests from.
//
// It stands on the public listener beside the contract's own paths and needs no API key; a request for it reaches
// neither validation nor a store. Everything the page loads is compiled into the server.
package docs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"time"

	"github.com/swaggest/swgui/v5emb"
)

// New returns a handler of /openapi.yaml, /openapi.json, /docs and all under /docs/. It takes the contract as YAML and
// answers GET and HEAD; what it refuses, it refuses in the contract's form.
func New(contract []byte) (http.Handler, error) {
	document, title, err := convert(contract)
	if err != nil {
		return nil, fmt.Errorf("convert the contract to JSON: %w", err)
	}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, title); err != nil {
		return nil, fmt.Errorf("write the docs page: %w", err)
	}

	html := file("text/html; charset=utf-8", page.Bytes())
	h := handler{
		"/openapi.yaml":  file("application/yaml", contract),
		"/openapi.json":  file("application/json", document),
		"/docs":          html,
		"/docs/":         html,
		"/docs/page.css": file("text/css; charset=utf-8", pageCSS),
		"/docs/page.js":  file("text/javascript; charset=utf-8", pageJS),
	}
	// Swagger UI carries files that this page has no use for, one of them HTML; they stay inside.
	assets := v5emb.New(title, "/openapi.json", "/docs")
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"} {
		h["/docs/"+name] = assets
	}
	return h, nil
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

//go:embed page.js
var pageJS []byte

var pageTemplate = template.Must(template.New("page.html").Parse(pageHTML))

// policy lets the page load from this server and talk to it, and nothing else. The data: images are icons in Swagger
// UI's style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// handler is what there is, by path.
type handler map[string]http.Handler

// ServeHTTP answers with what is at the path.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, ok := h[r.URL.Path]
	if !ok {
		refuse(w, http.StatusNotFound, `{"message":"There is nothing at this path.","code":"NOT_FOUND"}`)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, `{"message":"This path answers GET and HEAD.","code":"METHOD_NOT_ALLOWED"}`)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache") // may be kept, to be asked for again by its ETag
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	content.ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, body+"\n") // a caller that has hung up needs no answer
}

// file answers with content, or with 304 to a caller that has it.
func file(contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", tag)
		for _, name := range []string{"Range", "If-Match", "If-Unmodified-Since"} {
			r.Header.Del(name) // what ServeContent would refuse in words that are not the contract's
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
