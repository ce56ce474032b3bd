package docs_test

import (
	"context"
	"fmt"
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
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
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
