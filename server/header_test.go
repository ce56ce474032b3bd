package main

import (
	"bufio"
	"strings"
	"testing"
)

// TestHeaderNames looks at the names of headers as they are on the wire: some clients compare them by case.
func TestHeaderNames(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r, limited := a.newRecord(), a.newKey("acme", "--rate-limit", "60")
	for _, test := range []struct{ request, key, want string }{
		{"GET " + r.path(), a.key, "ETag: \"1\"\r\n"},
		{"HEAD " + r.path(), a.key, "ETag: \"1\"\r\n"},
		{"GET /openapi.yaml", "", "ETag: \""},
		{"GET " + r.path(), "", "WWW-Authenticate: ApiKey realm=\"careCycle\", header=\"x-api-key\"\r\n"},
		{"GET " + r.path(), limited, "RateLimit-Policy: \"key\";q=60;w=60\r\n"},
		{"GET " + r.path(), limited, "RateLimit: \"key\";r="},
		{"OPTIONS " + r.path(), "", "Accept-Patch: application/json, application/merge-patch+json\r\n"},
		{"PATCH " + r.path(), a.key, "Accept-Patch: application/json, application/merge-patch+json\r\n"},
	} {
		c := a.connect()
		c.write("%s HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: %s\r\nConnection: close\r\n\r\n", test.request, test.key)
		var head strings.Builder
		for lines := bufio.NewReader(c.Conn); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if head.WriteString(line); line == "\r\n" {
				break
			}
		}
		if !strings.Contains(head.String(), "\r\n"+test.want) {
			t.Errorf("%s: no %q in\n%s", test.request, test.want, &head)
		}
	}
}
