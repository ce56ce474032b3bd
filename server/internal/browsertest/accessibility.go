package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeVersion is the version of axe-core, which checks pages for what keeps people from using them.
const axeVersion = "4.14.1"

// Axe returns the script of axe-core, which npm fetches once and keeps in the user's cache.
//
// Without npm it skips the test, or fails it if CI is set.
func Axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(cache, "carecycle-axe-core-"+axeVersion)
	file := filepath.Join(directory, "node_modules", "axe-core", "axe.min.js")
	if script, err := os.ReadFile(file); err == nil {
		return string(script)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		const advice = "npm is not on PATH; install it (Debian: apt-get install npm)"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	fetch := exec.CommandContext(t.Context(), npm, "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", directory, "axe-core@"+axeVersion)
	if output, err := fetch.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("fetch axe-core: %v\n%s", err, output)
		}
		t.Skipf("axe-core cannot be fetched: %v", err)
	}
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// Violations returns what axe-core finds serious or worse on the page.
func Violations(ctx context.Context, axe string) ([]string, error) {
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](axe+`;
axe.run().then(result => result.violations
  .filter(v => v.impact === "serious" || v.impact === "critical")
  .flatMap(v => v.nodes.map(n => v.id + ": " + n.html + ": " + n.failureSummary.replaceAll("\n", " ")))
  .join("\n"))`, chromedp.EvalAwaitPromise))
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}
