package docs_test

import (
	"bytes"
	"context"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/browsertest"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// TestInBrowser reads the page and tries a request from it, in Chromium: the page works under its own policy, and
// talks to the server that it came from, below the prefix of its paths.
func TestInBrowser(t *testing.T) {
	tried := make(chan string, 1)
	const prefix = "/some/prefix"
	mux := newMux(t, providerapi.Contract, docs.Options{Prefix: prefix})
	mux.HandleFunc("PATCH /v2/customers/{id}/providers/{providerId}", func(w http.ResponseWriter, r *http.Request) {
		tried <- r.URL.Path + " " + r.Header.Get("x-api-key")
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"notes":"the response"}`)
	})
	server := httptest.NewServer(http.StripPrefix(prefix, mux))
	t.Cleanup(server.Close)

	ctx, problems := browsertest.New(t, server.URL)
	err := chromedp.Do(ctx,
		chromedp.Navigate(server.URL+prefix+"/docs"),
		browsertest.Shows(".opblock-patch .opblock-summary", "Update customer provider"),
		browsertest.Click(".opblock-patch .opblock-summary-control"),
		browsertest.Shows(".opblock-body", `"providerType"`),
		browsertest.Shows(".opblock-body", "x-required-permission"),

		browsertest.Click("button.authorize"),
		chromedp.SendKeys(chromedp.CSS(".auth-container input"), "cc_test", chromedp.NodeVisible),
		browsertest.Click(".auth-btn-wrapper button[type=submit]"),
		browsertest.Click(".auth-btn-wrapper .btn-done"),
		browsertest.Click(".try-out__btn"),
		browsertest.Click(".btn.execute"),
		browsertest.Shows(".live-responses-table", `"the response"`),
	)
	if err != nil {
		t.Fatal(err)
	}

	const id = "3c90c3cc-0d44-4b50-8888-8dd25736052a" // of the contract's example
	want := "/v2/customers/" + id + "/providers/" + id + " cc_test"
	if got := <-tried; got != want {
		t.Errorf("the request tried: got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string(nil), problems()); diff != "" {
		t.Errorf("console errors, failed requests and requests elsewhere (-want +got):\n%s", diff)
	}
}

// TestOnAPhone reads the page on a narrow screen: nothing is wider than it, and what describes a parameter has most of its width.
func TestOnAPhone(t *testing.T) {
	ctx := openOperation(t, emulation.SetDeviceMetricsOverrideParams{Width: 390, Height: 844, DeviceScaleFactor: 1, Mobile: true}, "light")
	err := chromedp.Do(ctx,
		browsertest.Until("the page is as wide as the screen", `document.documentElement.scrollWidth <= 390`),
		browsertest.Until("descriptions are wide", `[...document.querySelectorAll('tbody > tr > :is(.parameters-col_description, .response-col_description)')].every(e => e.getBoundingClientRect().width > 250)`),
	)
	if err != nil {
		t.Error(err)
	}
}

// TestInTheDark reads the page with a preference for dark colours.
func TestInTheDark(t *testing.T) {
	ctx := openOperation(t, emulation.SetDeviceMetricsOverrideParams{Width: 1280, Height: 800, DeviceScaleFactor: 1}, "dark")
	screen, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(screen.Data))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := picture.At(2, 2).RGBA(); max(r, g, b) > 0x5000 {
		t.Errorf("the background has the colour %x %x %x of ffff", r, g, b)
	}
}

// openOperation opens the documented operation on such a screen.
func openOperation(t *testing.T, screen emulation.SetDeviceMetricsOverrideParams, colours string) context.Context {
	t.Helper()
	server := httptest.NewServer(newMux(t, providerapi.Contract, docs.Options{}))
	t.Cleanup(server.Close)
	ctx, _ := browsertest.New(t, server.URL)
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, screen); err != nil {
		t.Fatal(err)
	}
	preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Do(ctx,
		chromedp.Navigate(server.URL+"/docs#/Customer%20providers/updateCustomerProvider"),
		browsertest.Shows(".opblock-body", "x-required-permission"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}
