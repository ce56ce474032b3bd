// Package docs shows the contract to people and to tools: as YAML at /openapi.yaml, as JSON at /openapi.json, and as a page to read
// and to send requests from at /docs. All of them have this server first.
//
// The page is HTML that is written once, when the server starts, in the design of the dashboard. Its script fills in commands and sends
// requests; the page is readable without it.
//
// The public listener serves it next to the contract's own paths. It needs no API key, and its requests reach neither
// validation nor a store. Everything that the page loads is compiled into the server.
package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/server/internal/design"
	"go.yaml.in/yaml/v4"
)

// Pages are the handlers of GET and HEAD, by path. Package api registers each of them, and rejects other paths and methods.
type Pages map[string]http.Handler

// Options are the options of New. The zero value is valid.
type Options struct {
	Prefix    string // of each path, such as /api
	WithoutUI bool   // the contract alone, without /docs
	Dashboard string // the path of the dashboard, or "" if another listener serves it
	TestKeys  string // the path of its page that creates a test key for the reference, or ""
}

// New returns the pages of a contract in YAML. To add a page, add an entry to the map below. Its paths have no prefix; links do.
func New(contract []byte, o Options) (Pages, error) {
	contract, root, err := withThisServer(contract, o.Prefix)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	document, err := indented(root)
	if err != nil {
		return nil, fmt.Errorf("convert the contract to JSON: %w", err)
	}
	pages := Pages{
		"/openapi.yaml": file("application/yaml", contract),
		"/openapi.json": file("application/json", document),
	}
	if !o.WithoutUI {
		if err := pages.addReference(root, o); err != nil {
			return nil, fmt.Errorf("write the docs page: %w", err)
		}
	}
	for path, page := range pages {
		pages[path] = withHeaders(page)
	}
	return pages, nil
}

// addReference adds the page /docs and the files that it loads.
func (p Pages) addReference(contract *yaml.Node, o Options) error {
	var page bytes.Buffer
	if err := referenceTemplate.Execute(&page, readReference(contract, o)); err != nil {
		return err
	}
	html := file("text/html; charset=utf-8", page.Bytes())
	p["/docs"], p["/docs/"] = html, html
	p["/docs/reference.js"] = file(scriptType, referenceJS)
	for name, contentType := range map[string]string{"style.css": "text/css; charset=utf-8", "site.js": scriptType, "icon.svg": "image/svg+xml"} {
		content, err := design.Files.ReadFile(name)
		if err != nil {
			return err
		}
		p["/docs/"+name] = file(contentType, content)
	}
	return nil
}

const scriptType = "text/javascript; charset=utf-8"

//go:embed reference.js
var referenceJS []byte

// policy lets the page load from this server and send requests to it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
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

// file serves content, compressed if the caller accepts gzip, or a 304 if the caller has it already.
func file(contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := hex.EncodeToString(sum[:16])
	compressed := compress(content)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, content, tag := w.Header(), content, tag
		header.Set("Content-Type", contentType)
		header.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			content, tag = compressed, tag+"-gzip"
		}
		tag = `"` + tag + `"`
		header["ETag"] = []string{tag} // spelled as in RFC 9110
		if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content) // an error means that the caller is gone
	})
}

func compress(content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(content) // to a Buffer, which takes everything
	w.Close()
	return out.Bytes()
}

// takesGzip reports whether an Accept-Encoding lists gzip, and not with the weight 0.
func takesGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.Trim(weight, " q=0.") != "" || strings.TrimSpace(weight) == ""
		}
	}
	return false
}
