package dashboard_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/browsertest"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
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
			resize(t, ctx, width)
			prefer(t, ctx, colours)
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

// resize sets the width of the screen.
func resize(t *testing.T, ctx context.Context, width int64) {
	t.Helper()
	screen := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 844, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, screen); err != nil {
		t.Fatal(err)
	}
}

// prefer sets the colour scheme that the browser prefers.
func prefer(t *testing.T, ctx context.Context, colours string) {
	t.Helper()
	preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
		t.Fatal(err)
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
	s, _ := newAuditedSite(t, kind)
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
	do(browsertest.Click(".sections a[href$=customers]"), browsertest.Shows("h1", "Customers"))
	look(t, ctx, "customers")
	do(chromedp.SendKeys(chromedp.CSS("#text"), "provider of"), browsertest.Click("form[role=search] button"), browsertest.Shows("td", "Provider of Clinic"))
	look(t, ctx, "search")
	do(browsertest.Click("td a"), browsertest.Shows("h1", "Provider of Clinic"), browsertest.Shows(".timeline", "the key billing updated it"))
	do(browsertest.Click(".head .button"), browsertest.Shows("h1", "Edit provider"), chromedp.SendKeys(chromedp.CSS("#phone"), "+1 555 0199"))
	look(t, ctx, "edit")
	do(browsertest.Click("form.stack button"), browsertest.Shows(".done", "The change is saved"), browsertest.Shows(".timeline", "ada@example.com updated it"))
	look(t, ctx, "provider")
	do(chromedp.Navigate(fmt.Sprintf("%s/dashboard/organizations/%d/customers/%s", s.url, number, customer)), browsertest.Shows("h1", "Customer"))
	look(t, ctx, "customer")
	do(chromedp.Navigate(fmt.Sprintf("%s/dashboard/organizations/%d/usage", s.url, number)), browsertest.Shows("figure", "Requests"))
	look(t, ctx, "usage")
	do(chromedp.Navigate(fmt.Sprintf("%s/dashboard/organizations/%d/members", s.url, number)), browsertest.Shows("h1", "Members"))
	look(t, ctx, "members")
	do(browsertest.Click(".sections a[href$=audit]"), browsertest.Shows("tbody", "dashboard key revoked"))
	look(t, ctx, "audit")
	do(chromedp.Navigate(s.url+"/dashboard/account"), browsertest.Shows("h2", "Password"))
	look(t, ctx, "account")
	testTwoStepInBrowser(t, ctx, s, u)
	if got := problems(); got != nil {
		t.Errorf("console errors, failed requests and requests elsewhere: %q", got)
	}
	if kind == "SQLite" { // once is enough
		testGenerateKey(t, ctx, s.url)
		t.Run("pages are accessible", func(t *testing.T) { testAccessible(t, ctx, s, number, customer, id) })
	}
}

// TestDemoInBrowser goes the way of a person who has started the demo: from the link to a provider that curl has changed, and then the form.
func TestDemoInBrowser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have curl: the page of a new key shows a command that uses it")
		}
		t.Skip("curl is not installed; the command of the page of a new key is not tried")
	}
	s := newSite(t, "SQLite", withDemo)
	s.organization("Clinic")
	token, _, err := account.Invite(t.Context(), s.store, account.User{Email: "demo@example.com", Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, problems := browsertest.New(t, s.url)
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	do(chromedp.Navigate(s.url+"/dashboard/links/"+token), browsertest.Shows("h1", "Welcome to the demo"))
	look(t, ctx, "demo")
	do(
		browsertest.Click("main button"),
		browsertest.Shows("h1", "API keys"),
		browsertest.Click("a.button"),
		chromedp.SendKeys(chromedp.CSS("#name"), "trial"),
		browsertest.Click("main form button"),
		browsertest.Shows("h1", "Your new key"),
	)
	command, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#command")))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, command, out)
	}
	do(browsertest.Click("main p a:not(.button)"), browsertest.Shows(".timeline", "the key trial updated it"), browsertest.Shows("main", "changed with my first key"))
	do(browsertest.Click(".head .button"), chromedp.SendKeys(chromedp.CSS("#phone"), "+1 555 0199"))
	do(browsertest.Click("form.stack button"), browsertest.Shows(".done", "The change is saved"), browsertest.Shows(".timeline", "demo@example.com updated it"))
	if got := problems(); got != nil {
		t.Errorf("console errors, failed requests and requests elsewhere: %q", got)
	}
}

// testTwoStepInBrowser turns two-step sign-in on, and signs in with it again.
func testTwoStepInBrowser(t *testing.T, ctx context.Context, s *site, u account.User) {
	t.Helper()
	axe := browsertest.Axe(t)
	do := func(name string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
		look(t, ctx, name)
		violations, err := browsertest.Violations(ctx, axe)
		if err != nil || violations != nil {
			t.Errorf("%s: %q, error %v", name, violations, err)
		}
	}
	do("two-step-secret",
		chromedp.SendKeys(chromedp.CSS("#two-step-current"), password),
		browsertest.Click("form[action$=two-step] button"),
		browsertest.Shows("h1", "Turn on two-step sign-in"),
	)
	secret, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("code.break")))
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(strings.ReplaceAll(secret, " ", ""), time.Now().Add(30*time.Second)) // works for a minute at least
	if err != nil {
		t.Fatal(err)
	}
	do("two-step-recovery", chromedp.SendKeys(chromedp.CSS("#code"), code), browsertest.Click("form.stack button"), browsertest.Shows("h1", "Your recovery codes"))
	recovery, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#codes")))
	if err != nil {
		t.Fatal(err)
	}
	do("account-two-step", browsertest.Click("main a.button"), browsertest.Shows("main", "You have 10 recovery codes left"))
	do("signin-code",
		browsertest.Click(".person button"),
		browsertest.Shows("h1", "Sign in"),
		chromedp.SendKeys(chromedp.CSS("#email"), u.Email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		browsertest.Click("main button"),
		browsertest.Shows("h1", "Enter a code"),
	)
	do("signed-in", chromedp.SendKeys(chromedp.CSS("#code"), strings.Fields(recovery)[0]), browsertest.Click("main button"), browsertest.Shows("h1", "API keys"))
	do("account-two-step", chromedp.Navigate(s.url+"/dashboard/account"), browsertest.Shows("main", "You have 9 recovery codes left"))
}

// testAccessible has axe-core look at every page, as an operator, who sees all of them: in light colours on a wide screen, and in dark
// ones on a phone, where nothing is wider than the screen.
func testAccessible(t *testing.T, ctx context.Context, s *site, organization int64, customer, id uuid.UUID) {
	axe := browsertest.Axe(t)
	keys, err := s.store.ListKeys(t.Context(), 0, apikey.Key{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := account.Invite(t.Context(), s.store, account.User{Email: "new@example.com", Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	operator := s.user(account.User{Email: "operator@example.com", Operator: true})
	if _, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	err = chromedp.Do(ctx,
		chromedp.Navigate(s.url+"/dashboard/account"),
		chromedp.SendKeys(chromedp.CSS("#email"), operator.Email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		browsertest.Click("form button:not(.quiet)"),
		browsertest.Shows("h2", "Password"),
	)
	if err != nil {
		t.Fatal(err)
	}
	routes := dashboard.Routes()
	fill := strings.NewReplacer("{$}", "", "{organization}", fmt.Sprint(organization), "{customer}", customer.String(), "{provider}", id.String(), "{key}", keys[0].ID, "{token}", token)
	slices.SortStableFunc(routes, func(a, b dashboard.Route) int { return strings.Compare(fmt.Sprint(a.Anyone), fmt.Sprint(b.Anyone)) })
	for _, route := range routes {
		if route.Anyone { // they come last
			if _, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
				t.Fatal(err)
			}
		}
		path, isPage := strings.CutPrefix(route.Pattern, "GET ")
		if !isPage || strings.HasSuffix(path, "/export") {
			continue
		}
		path = fill.Replace(path)
		if strings.Contains(path, "{") {
			t.Errorf("%s has a part that the test does not know", path)
		}
		if err := chromedp.Do(ctx, chromedp.Navigate(s.url+path), browsertest.Shows("h1", "")); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		look(t, ctx, "page"+strings.NewReplacer("/", "-", "{", "", "}", "").Replace(strings.TrimPrefix(route.Pattern, "GET /dashboard")))
		for colours, width := range map[string]int64{"light": 1280, "dark": 390} {
			prefer(t, ctx, colours)
			resize(t, ctx, width)
			if err := chromedp.Do(ctx, browsertest.Until("nothing is wider than the screen", `[document.documentElement, ...document.querySelectorAll(".scroll:has(.cards)")].every(e => e.scrollWidth <= e.clientWidth || innerWidth > 768 && e.matches(".scroll"))`)); err != nil {
				t.Errorf("%s, %d wide: %v", path, width, err)
			}
			violations, err := browsertest.Violations(ctx, axe)
			if err != nil {
				t.Fatal(err)
			}
			for _, violation := range violations {
				t.Errorf("%s, %s: %s", path, colours, violation)
			}
		}
	}
}

// testGenerateKey gets a key with the button of the reference page, and sends a request with it.
func testGenerateKey(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	popup := chromedp.WaitNewTarget(ctx, func(info *target.Info) bool { return strings.HasSuffix(info.URL, dashboard.TestKeys) })
	err := chromedp.Do(ctx,
		chromedp.Navigate(url+"/docs#updateCustomerProvider"),
		browsertest.Click("#updateCustomerProvider [data-test-key]"),
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
		browsertest.Until("the key is filled in", `document.querySelector("#updateCustomerProvider [name=key]").value.startsWith("cc_")`),
		browsertest.Click("#updateCustomerProvider form button:not([type])"),
		browsertest.Shows("#updateCustomerProvider .outcome", "404"),
		browsertest.Shows("#updateCustomerProvider .received", "This customer has no such provider"), // of the organization, which is not the example's
	)
	if err != nil {
		t.Fatal(err)
	}
}
