package api

import (
	"net/http"
	"testing"
)

// TestResponseWriter compares what a handler sends within the process with what net/http makes of the same calls.
func TestResponseWriter(t *testing.T) {
	t.Parallel()
	write := func(w http.ResponseWriter) {
		if _, err := w.Write([]byte("text")); err != nil {
			t.Error(err)
		}
	}
	for name, test := range map[string]struct {
		handle func(w http.ResponseWriter)
		status int
	}{
		"the first status":    {func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500) }, 404},
		"a status too late":   {func(w http.ResponseWriter) { write(w); w.WriteHeader(500) }, 200},
		"informational":       {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(100); w.WriteHeader(404) }, 404},
		"informational alone": {func(w http.ResponseWriter) { w.WriteHeader(103); write(w) }, 200},
	} {
		w := &responseWriter{header: http.Header{"Before": {"1"}}}
		test.handle(w)
		w.Header().Set("After", "1")
		if w.status != test.status || w.sent.Get("Before") != "1" || w.sent.Get("After") != "" {
			t.Errorf("%s: status %d, header %v; want %d, and the header as it was then", name, w.status, w.sent, test.status)
		}
	}
}
