package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
)

func ExampleWithBaseURL() {
	_, err := client.New("cc_your_key", client.WithBaseURL("https://gateway.example/carecycle/"))
	fmt.Println(err)
	_, err = client.New("cc_your_key", client.WithBaseURL("gateway.example"))
	fmt.Println(err)
	// Output:
	// <nil>
	// client: WithBaseURL: the base URL must be like https://host or https://host/path
}

func ExampleWithHTTPClient() {
	shared := &http.Client{Transport: http.DefaultTransport} // its CheckRedirect is not used: redirects would take the key along
	_, err := client.New("cc_your_key", client.WithHTTPClient(shared))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithTransport() {
	proxied := http.DefaultTransport.(*http.Transport).Clone()
	proxied.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"})
	_, err := client.New("cc_your_key", client.WithTransport(proxied))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithTimeout() {
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hanging.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(hanging.URL), client.WithTimeout(50*time.Millisecond), client.WithoutRetries())

	_, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{})
	fmt.Println(errors.Is(err, client.ErrUnavailable), errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true true
}

func ExampleWithRetries() {
	// A job in the background has time to sit out the rate limit.
	_, err := client.New("cc_your_key", client.WithRetries(20, 15*time.Minute))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithoutRetries() {
	api := newAPI(respond(503, `{"message":"The server is busy.","code":"SERVICE_UNAVAILABLE"}`))
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL), client.WithoutRetries())

	_, err := c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{})
	fmt.Println(errors.Is(err, client.ErrUnavailable))
	// Output: true
}

func ExampleWithUserAgent() {
	api := newAPI(func(w http.ResponseWriter, r *http.Request) {
		product, _, _ := strings.Cut(r.UserAgent(), " ")
		fmt.Println(product)
		respond(200, record)(w, r)
	})
	defer api.Close()
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL), client.WithUserAgent("billing/1.4"))

	c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{})
	// Output: billing/1.4
}

func ExampleWithRequestEditorFn() {
	api := newAPI(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Traceparent"))
		respond(200, record)(w, r)
	})
	defer api.Close()

	type trace struct{}
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL), client.WithRequestEditorFn(func(ctx context.Context, r *http.Request) error {
		r.Header.Set("Traceparent", ctx.Value(trace{}).(string))
		return nil
	}))

	ctx := context.WithValue(context.Background(), trace{}, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{})
	// Output: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}

func ExampleWithAttemptHook() {
	api := newAPI(respond(503, `{"message":"The server is busy.","code":"SERVICE_UNAVAILABLE"}`))
	defer api.Close()

	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	c, _ := client.New("cc_your_key", client.WithBaseURL(api.URL), client.WithAttemptHook(func(ctx context.Context, a client.Attempt) {
		level := slog.LevelDebug
		if a.Err != nil {
			level = slog.LevelInfo
		}
		log.Log(ctx, level, a.Method+" "+a.Route, "attempt", a.Number, "status", a.StatusCode, "again", a.Wait > 0) // and a.Duration, a.RequestID, a.Err
	}))

	c.UpdateProvider(context.Background(), customerID, providerID, client.ProviderUpdate{})
	// Output: level=INFO msg="PATCH /v2/customers/{id}/providers/{providerId}" attempt=1 status=503 again=true
}

// withoutTime keeps the example's output the same from one run to the next.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
