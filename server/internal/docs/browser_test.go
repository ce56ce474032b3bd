package docs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/browsertest"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/chromedp/cdproto/emulation"
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
		body, _ := io.ReadAll(r.Body)
		tried <- strings.Join([]string{r.URL.Path, r.Header.Get("x-api-key"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), r.Header.Get("Cookie"), string(body)}, " ")
		w.Header().Set("Content-Type", "application/json")
		w.Header()["ETag"] = []string{`"8"`}
		io.WriteString(w, `{"notes":"the response"}`)
	})
	server := httptest.NewServer(http.StripPrefix(prefix, mux))
	t.Cleanup(server.Close)

	ctx, problems := browsertest.New(t, server.URL)
	err := chromedp.Do(ctx,
		chromedp.Navigate(server.URL+prefix+"/docs"),
		browsertest.Shows(".sections a[href='#authorization']", "API key"),
		browsertest.Shows("#updateCustomerProvider", "The key needs the permission providers:write."),
		browsertest.Shows(`#updateCustomerProvider\.command`, "'x-api-key: YOUR-KEY'"),
		chromedp.SendKeys(chromedp.CSS("#updateCustomerProvider [name=key]"), "cc_test"),
		chromedp.SendKeys(chromedp.CSS("#updateCustomerProvider [data-name=If-Match]"), `"7"`),
		browsertest.Until("an example is chosen", choose("#updateCustomerProvider [name=example]", 2)),
		browsertest.Shows(`#updateCustomerProvider\.command`, "--header 'If-Match: \"7\"'"),
		browsertest.Shows(`#deleteCustomerProvider\.command`, "'x-api-key: cc_test'"),
		browsertest.Click("#updateCustomerProvider form button:not([type])"),
		browsertest.Shows("#updateCustomerProvider .outcome", "200 OK"),
		browsertest.Shows("#updateCustomerProvider .received", `"the response"`),
		browsertest.Click("#updateCustomerProvider summary"),
		browsertest.Until("a header is shown", `document.querySelector("#updateCustomerProvider .headers").textContent.includes("etag: \"8\"")`),
	)
	if err != nil {
		t.Fatal(err)
	}

	const id = "3c90c3cc-0d44-4b50-8888-8dd25736052a" // of the contract's example
	want := "/v2/customers/" + id + "/providers/" + id + ` cc_test "7" application/merge-patch+json  ` + "{\n  \"phone\": \"+1 555 0100\",\n  \"fax\": null\n}"
	if got := <-tried; got != want {
		t.Errorf("the request tried: got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string(nil), problems()); diff != "" {
		t.Errorf("console errors, failed requests and requests elsewhere (-want +got):\n%s", diff)
	}
}

// TestLooks reads the page on a wide and on a narrow screen, with both preferences for colours: nothing is wider than the screen, what
// describes a parameter has most of it, the background has the preferred colour, and axe-core finds nothing serious.
func TestLooks(t *testing.T) {
	server := httptest.NewServer(newMux(t, providerapi.Contract, docs.Options{}))
	t.Cleanup(server.Close)
	ctx, problems := browsertest.New(t, server.URL)
	axe := browsertest.Axe(t)
	for _, width := range []int64{1280, 390} {
		for _, colours := range []string{"light", "dark"} {
			looks(t, ctx, server.URL, axe, width, colours)
		}
	}
	if diff := cmp.Diff([]string(nil), problems()); diff != "" {
		t.Errorf("console errors, failed requests and requests elsewhere (-want +got):\n%s", diff)
	}
}

func looks(t *testing.T, ctx context.Context, url, axe string, width int64, colours string) {
	t.Helper()
	screen := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: width < 500}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, screen); err != nil {
		t.Fatal(err)
	}
	preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
		t.Fatal(err)
	}
	background := "rgb(246, 247, 248)"
	if colours == "dark" {
		background = "rgb(18, 23, 27)"
	}
	err := chromedp.Do(ctx,
		chromedp.Navigate(fmt.Sprintf("%s/docs?%d%s#/Customer%%20providers/updateCustomerProvider", url, width, colours)), // a link to the former page, which still works
		browsertest.Until("the operation is on the screen", `location.hash === "#updateCustomerProvider" && Math.abs(document.querySelector("#updateCustomerProvider").getBoundingClientRect().top) < 100`),
		browsertest.Until("the page is as wide as the screen", fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, width)),
		browsertest.Until("descriptions are wide", `[...document.querySelectorAll(".properties dd")].every(e => e.getBoundingClientRect().width > 250)`),
		browsertest.Until("the background is "+colours, fmt.Sprintf(`getComputedStyle(document.body).backgroundColor === %q`, background)),
	)
	if err != nil {
		t.Fatal(err)
	}
	violations, err := browsertest.Violations(ctx, axe)
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range violations {
		t.Errorf("%d wide, %s: %s", width, colours, violation)
	}
}

// choose returns an expression that chooses an option as a person does.
func choose(selector string, option int) string {
	return fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.selectedIndex = %d; e.dispatchEvent(new Event("change", {bubbles: true})); return true })()`, selector, option)
}
