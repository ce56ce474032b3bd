package curl_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/curl"
)

// TestCommand has a shell say what it makes of a command.
func TestCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	const header, body = `x-api-key: $(id) "'`, "{\n  \"providerName\": \"O'Neill \\\\ & `sons`\"\n}"
	for _, url := range []string{"https://example.com/v2", "https://example.com/$HOME?a=1&b='c'"} {
		command := curl.Command{Method: "PATCH", URL: url, Headers: []string{header}, Body: body}.String()
		got, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\0' "$@"; }; `+command).Output()
		want := strings.Join([]string{"--request", "PATCH", "--url", url, "--header", header, "--data", body, ""}, "\x00")
		if err != nil || string(got) != want {
			t.Errorf("%s\nis %q, %v; want %q", command, got, err, want)
		}
	}
	const want = "curl --request GET \\\n  --url http://127.0.0.1:8080/v2 \\\n  --header 'x-api-key: YOUR-KEY'"
	if got := (curl.Command{Method: "GET", URL: "http://127.0.0.1:8080/v2", Headers: []string{"x-api-key: YOUR-KEY"}}).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
