package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/validate"
)

// BenchmarkHostileBody compares rejecting bodies that are made to be expensive, with accepting the largest valid body.
// None may cost more than four times as much, in time or in bytes.
func BenchmarkHostileBody(b *testing.B) {
	handler, secret := serving(b, memory{})
	for _, body := range append([]hostileBody{{"largest valid", http.StatusOK, largestBody()}}, hostileBodies()...) {
		b.Run(body.name, func(b *testing.B) {
			b.ReportAllocs()
			request := benchRequest(b, secret)
			request.ContentLength = int64(len(body.text))
			w := &discard{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				request.Body = io.NopCloser(strings.NewReader(body.text))
				if handler.ServeHTTP(w, request); w.status != body.status {
					b.Fatalf("status %d, want %d", w.status, body.status)
				}
			}
		})
	}
}

type hostileBody struct {
	name   string
	status int
	text   string
}

// largestBody returns a body with every text at its longest and every character escaped.
func largestBody() string {
	var members []string
	for id := range property.Table {
		if p := property.Table[id]; p.MaxLength > 0 {
			members = append(members, fmt.Sprintf("%q:%q", p.Name, strings.Repeat("*", p.MaxLength)))
		}
	}
	return strings.ReplaceAll("{"+strings.Join(members, ",")+"}", "*", `\ud83d\ude00`)
}

func hostileBodies() []hostileBody {
	fill := func(before, repeated, after string) string {
		return before + strings.Repeat(repeated, (validate.MaxBody-len(before)-len(after))/len(repeated)) + after
	}
	numbered := func(format string) string {
		var members []string
		for n := range validate.MaxBody / (len(format) + 5) {
			members = append(members, fmt.Sprintf(format, n))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	const rejected, malformed = http.StatusUnprocessableEntity, http.StatusBadRequest
	return []hostileBody{
		{"unknown names", rejected, numbered(`"x%d":0`)},
		{"names that almost exist", rejected, numbered(`"c_i_t_y_%d":0`)},
		{"names that cannot be repeated", rejected, numbered(`" %d":0`)},
		{"one long name", rejected, fill(`{"`, "x", `":0}`)},
		{"a duplicate name", rejected, fill(`{`, `"city":"",`, `"city":""}`)},
		{"a duplicate escaped name", rejected, fill(`{`, `"\u0063ity":0,`, `"city":0}`)},
		{"an array of numbers", rejected, fill(`{"city":[`, `0,`, `0]}`)},
		{"an array of texts", rejected, fill(`{"city":[`, `"\u0000",`, `0]}`)},
		{"an array of objects", rejected, fill(`{"city":[`, `{},`, `0]}`)},
		{"a top-level array", rejected, fill(`[`, `{"a":0},`, `0]`)},
		{"deep arrays", malformed, strings.Repeat("[", validate.MaxBody)},
		{"deep objects", malformed, fill(``, `{"a":`, ``)},
		{"arrays as deep as can be read", rejected, fill(`{"city":[`, strings.Repeat("[", 30)+strings.Repeat("]", 30)+`,`, `0]}`)},
		{"a long text", rejected, fill(`{"notes":"`, "x", `"}`)},
		{"a long escaped text", rejected, fill(`{"notes":"`, `\u0000`, `"}`)},
		{"a long number", rejected, fill(`{"notes":`, "9", `}`)},
		{"a long boolean", malformed, fill(`{"isActive":`, "true", `}`)},
		{"not JSON", malformed, fill(``, "x", ``)},
		{"spaces", malformed, fill(``, " ", ``)},
		{"cut short", malformed, fill(`{"notes":"`, "x", ``)},
	}
}
