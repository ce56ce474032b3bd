package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// TestKeys follows a key from its creation to its end, as the operator sees it and as the server does.
func TestKeys(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	status := func(secret string) int { return a.send(request{Path: path, Key: secret, Body: `{}`}).Status }
	expectLine := func(id string, pattern string) {
		t.Helper()
		pattern = "(?m)^" + id + "\t" + pattern + "$"
		if list := a.mustRun("", "keys", "list"); !regexp.MustCompile(pattern).MatchString(list) {
			t.Errorf("no line %s in\n%s", pattern, list)
		}
	}
	const when = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`

	stdout, stderr, code := a.run("", "keys", "create", "--organization", "acme", "--name", "nightly job")
	secret := strings.TrimSuffix(stdout, "\n")
	if code != 0 || !regexp.MustCompile(`^cc_[0-9A-Za-z]{36}$`).MatchString(secret) || strings.Contains(stderr, secret) || !strings.HasPrefix(stderr, "created key_") {
		t.Fatalf("create: exit code %d, standard output %q, standard error %q", code, stdout, stderr)
	}
	id := a.keyID(secret)
	expectLine(id, apikey.Prefix(secret)+`…\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\tcreated `+when+`\texpires never\tused never\tactive`)
	if got := status(secret); got != http.StatusOK {
		t.Errorf("new: %d", got)
	}

	next := strings.TrimSpace(a.mustRun("", "keys", "rotate", id, "--overlap", "1h"))
	expectLine(id, `.*\trevoked from `+when)
	expectLine(a.keyID(next), `.*\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\t.*\tactive`)
	if old, new := status(secret), status(next); old != http.StatusOK || new != http.StatusOK {
		t.Errorf("in the overlap: %d with the old key, %d with the new one", old, new)
	}

	former := a.newKey("acme")
	last := strings.TrimSpace(a.mustRun("", "keys", "rotate", a.keyID(former), "--overlap", "0s"))
	if old, new := status(former), status(last); old != http.StatusUnauthorized || new != http.StatusOK {
		t.Errorf("without overlap: %d with the old key, %d with the new one", old, new)
	}
	if _, stderr, code := a.run("", "keys", "revoke", a.keyID(last)); code != 0 || stderr != "revoked; running servers refuse the key within 5 seconds\n" {
		t.Errorf("revoke: exit code %d, %q", code, stderr)
	}
	expectLine(a.keyID(last), `.*\tno limit\t.*\trevoked`)
	expectLine(a.keyID(a.newKey("acme", "--expires", "1ms")), `.*\texpired`)
	expectLine(a.keyID(a.newKey("umbrella", "--permission", "providers:read", "--expires", "14d")), `.*\t"umbrella"\t"test"\tproviders:read\t.*\texpires `+when+`\tused never\tactive`)
}
