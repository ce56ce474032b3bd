package dashboard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/browsertest"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// look saves a picture of a page for each width and colour scheme, if the environment variable SCREENSHOTS names a directory.
func look(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		return
	}
	for width, size := range map[int64]string{1280: "wide", 390: "phone"} {
		for _, colours := range []string{"light", "dark"} {
			if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 844, DeviceScaleFactor: 1}); err != nil {
				t.Fatal(err)
			}
			preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
				t.Fatal(err)
			}
			screen, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: new(true)})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(directory, name+"-"+size+"-"+colours+".png"), screen.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestInBrowser does what a person does, in Chromium, on both stores.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	for kind := range openers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			testInBrowser(t, kind)
		})
	}
}

func testInBrowser(t *testing.T, kind string) {
	s := newSite(t, kind)
	number, customer, id := s.organization("Clinic")
	u := s.member("ada@example.com", number, account.Owner)
	ctx, problems := browsertest.New(t, s.url)
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	do(chromedp.Navigate(s.url+"/dashboard/"), browsertest.Shows("h1", "Sign in"))
	look(t, ctx, "signin")
	do(
		chromedp.SendKeys(chromedp.CSS("#email"), u.Email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		browsertest.Click("form button:not(.quiet)"),
		browsertest.Shows("main", "There is no key yet"),
	)
	look(t, ctx, "keys-empty")
	do(browsertest.Click("a.button"), browsertest.Shows("h1", "Create an API key"), chromedp.SendKeys(chromedp.CSS("#name"), "billing"))
	look(t, ctx, "keys-new")
	do(browsertest.Click("main form button"), browsertest.Shows("h1", "Your new key"), browsertest.Shows("#command", id.String()))
	look(t, ctx, "keys-created")
	secret, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS("#secret")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(secret, client.WithBaseURL(s.url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateProvider(t.Context(), client.CustomerID(customer), client.ProviderID(id), client.ProviderUpdate{City: client.Set("Springfield")}); err != nil {
		t.Fatal(err)
	}
	do(browsertest.Click("main a.button"), browsertest.Shows("td", "billing"))
	look(t, ctx, "keys")
	do(browsertest.Click("td a"), browsertest.Shows("h1", "billing"))
	look(t, ctx, "keys-key")
	do(browsertest.Click("input[name=sure]"), browsertest.Click("button.red"), browsertest.Shows(".done", "The key is revoked"), browsertest.Shows("tr.ended", "revoked"))
	s.usage.Flush()
	do(chromedp.Navigate(fmt.Sprintf("%s/dashboard/organizations/%d/usage", s.url, number)), browsertest.Shows("figure", "Requests"))
	look(t, ctx, "usage")
	do(chromedp.Navigate(fmt.Sprintf("%s/dashboard/organizations/%d/members", s.url, number)), browsertest.Shows("h1", "Members"))
	look(t, ctx, "members")
	do(chromedp.Navigate(s.url+"/dashboard/account"), browsertest.Shows("h2", "Password"))
	look(t, ctx, "account")
	if got := problems(); got != nil {
		t.Errorf("console errors, failed requests and requests elsewhere: %q", got)
	}
	if kind == "SQLite" { // once is enough
		testGenerateKey(t, ctx, s.url)
	}
}

// testGenerateKey gets a key from the reference page, with the button in its dialog, and sends a request with it.
func testGenerateKey(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	popup := chromedp.WaitNewTarget(ctx, func(info *target.Info) bool { return strings.HasSuffix(info.URL, "/dashboard/test-key") })
	err := chromedp.Do(ctx,
		chromedp.Navigate(url+"/docs#/Customer%20providers/updateCustomerProvider"),
		browsertest.Shows(".opblock-body", "x-required-permission"),
		browsertest.Click("button.authorize"),
		browsertest.Click("button.generate-key"),
	)
	if err != nil {
		t.Fatal(err)
	}
	window, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(<-popup))
	defer cancel()
	if err := chromedp.Do(window, browsertest.Click(".card button")); err != nil {
		t.Fatal(err)
	}
	err = chromedp.Do(ctx,
		browsertest.Shows(".auth-container", "Authorized"),
		browsertest.Click(".auth-btn-wrapper .btn-done"),
		browsertest.Click(".try-out__btn"),
		browsertest.Click(".btn.execute"),
		browsertest.Shows(".live-responses-table", "This customer has no such provider"), // of the organization, which is not the example's
	)
	if err != nil {
		t.Fatal(err)
	}
}
