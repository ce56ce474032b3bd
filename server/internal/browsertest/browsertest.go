// Package browsertest opens pages in headless Chromium, for the tests of the packages that serve some.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// New returns a context with an empty page of headless Chromium, and a function that lists what went wrong in
// it so far: console errors, failed requests, and requests that left the origin.
//
// Without Chromium it skips the test, or fails it if CI is set.
func New(t *testing.T, origin string) (context.Context, func() []string) {
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

// Click waits until there is such an element and clicks it. It does so in the page: the mouse would aim at where the
// element was a moment ago.
func Click(selector string) chromedp.Action[chromedp.Void] {
	return Until("there is a "+selector+" to click", fmt.Sprintf(
		`(() => { const e = document.querySelector(%q); e?.click(); return e !== null })()`, selector))
}

// Shows waits until the element shows the text.
func Shows(selector, text string) chromedp.Action[chromedp.Void] {
	return Until(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf(
		`document.querySelector(%q)?.innerText.includes(%q)`, selector, text))
}

// Until waits until the expression is true on the page, or on the one that a click leads to.
func Until(what, expression string) chromedp.Action[chromedp.Void] {
	poll := chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(await.Patience))
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		for deadline := time.Now().Add(await.Patience); ; {
			_, err := poll(ctx, target)
			if navigated := new(cdproto.Error); errors.As(err, &navigated) && navigated.Code == serverError && time.Now().Before(deadline) {
				continue
			}
			if err != nil {
				return chromedp.Void{}, fmt.Errorf("wait until %s: %w", what, err)
			}
			return chromedp.Void{}, nil
		}
	}
}

// serverError is the code of the error for a page that is left while an expression is evaluated on it.
const serverError = -32000
