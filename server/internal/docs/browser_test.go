package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// TestInBrowser reads the page and tries a request from it, in Chromium: the page works under its own policy, and
// talks to the server that it came from.
func TestInBrowser(t *testing.T) {
	tried := make(chan string, 1)
	mux := newMux(t, providerapi.Contract)
	mux.HandleFunc("PATCH /v2/customers/{id}/providers/{providerId}", func(w http.ResponseWriter, r *http.Request) {
		tried <- r.URL.Path + " " + r.Header.Get("x-api-key")
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"notes":"the response"}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	ctx, problems := newBrowser(t, server.URL)
	err := chromedp.Do(ctx,
		chromedp.Navigate(server.URL+"/docs"),
		shows(".opblock-patch .opblock-summary", "Update customer provider"),
		click(".opblock-patch .opblock-summary-control"),
		shows(".opblock-body", `"providerType"`),
		shows(".opblock-body", "x-required-permission"),

		click("button.authorize"),
		chromedp.SendKeys(chromedp.CSS(".auth-container input"), "cc_test", chromedp.NodeVisible),
		click(".auth-btn-wrapper button[type=submit]"),
		click(".auth-btn-wrapper .btn-done"),
		click(".try-out__btn"),
		click(".btn.execute"),
		shows(".live-responses-table", `"the response"`),
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
		until("the page is as wide as the screen", `document.documentElement.scrollWidth <= 390`),
		until("descriptions are wide", `[...document.querySelectorAll('tbody > tr > :is(.parameters-col_description, .response-col_description)')].every(e => e.getBoundingClientRect().width > 250)`),
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
	server := httptest.NewServer(newMux(t, providerapi.Contract))
	t.Cleanup(server.Close)
	ctx, _ := newBrowser(t, server.URL)
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, screen); err != nil {
		t.Fatal(err)
	}
	preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Do(ctx,
		chromedp.Navigate(server.URL+"/docs#/Customer%20providers/updateCustomerProvider"),
		shows(".opblock-body", "x-required-permission"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// newBrowser returns a context with an empty page of headless Chromium, and a function that lists what went wrong in
// it so far: console errors, failed requests, and requests that left the origin.
func newBrowser(t *testing.T, origin string) (context.Context, func() []string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		const advice = "chromium is not on PATH; install it (Debian: apt-get install chromium)"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // among them headless and a fresh profile, removed at the end
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(await.Patience),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 2*await.Patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)

	var mu sync.Mutex
	var problems []string
	err = chromedp.Listen(ctx, func(event any) {
		if problem := problemOf(event, origin); problem != "" {
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, problem)
		}
	})
	if err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return ctx, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), problems...)
	}
}

// problemOf describes an event that has no place on a sound page; of any other it returns "".
func problemOf(event any, origin string) string {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			return fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			return fmt.Sprintf("console: %v", e.Args)
		}
	case *runtime.EventExceptionThrown:
		return "exception: " + e.ExceptionDetails.Text
	case *network.EventLoadingFailed:
		return "request failed: " + e.ErrorText
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			return fmt.Sprintf("response: %d %s", e.Response.Status, e.Response.URL)
		}
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, origin+"/") && !strings.HasPrefix(url, "data:") {
			return "request elsewhere: " + url
		}
	}
	return ""
}

// click waits until there is such an element and clicks it. It does so in the page: the mouse would aim at where the
// element was a moment ago.
func click(selector string) chromedp.Action[chromedp.Void] {
	return until("there is a "+selector+" to click", fmt.Sprintf(
		`(() => { const e = document.querySelector(%q); e?.click(); return e !== null })()`, selector))
}

// shows waits until the element shows the text.
func shows(selector, text string) chromedp.Action[chromedp.Void] {
	return until(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf(
		`document.querySelector(%q)?.innerText.includes(%q)`, selector, text))
}

func until(what, expression string) chromedp.Action[chromedp.Void] {
	poll := chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(await.Patience))
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		if _, err := poll(ctx, target); err != nil {
			return chromedp.Void{}, fmt.Errorf("wait until %s: %w", what, err)
		}
		return chromedp.Void{}, nil
	}
}
