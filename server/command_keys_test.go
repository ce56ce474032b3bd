package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
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
	expectLine(id, apikey.Prefix(secret)+`…\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\t`+when+`\tnever\tnever\tactive\t-`)
	if got := status(secret); got != http.StatusOK {
		t.Errorf("new: %d", got)
	}

	next := strings.TrimSpace(a.mustRun("", "keys", "rotate", id, "--overlap", "1h"))
	nextID := a.keyID(next)
	expectLine(id, `.*\t`+when+`\t.*\trotating\t`+nextID)
	expectLine(nextID, `.*\t"acme"\t"nightly job"\tproviders:read,providers:write\t60/min\t.*\tactive\t-`)
	if old, new := status(secret), status(next); old != http.StatusOK || new != http.StatusOK {
		t.Errorf("in the overlap: %d with the old key, %d with the new one", old, new)
	}
	if stdout, stderr, code := a.run("", "keys", "rotate", id); code != 1 || stdout != "" || stderr != "carecycle-server: rotate key: the key was replaced already, by "+nextID+"; rotate that one if nobody has got it\n" {
		t.Errorf("rotate again: exit code %d, standard output of %d bytes, %q", code, len(stdout), stderr)
	}

	former := a.newKey("acme")
	last := strings.TrimSpace(a.mustRun("", "keys", "rotate", a.keyID(former), "--overlap", "0s"))
	if old, new := status(former), status(last); old != http.StatusUnauthorized || new != http.StatusOK {
		t.Errorf("without overlap: %d with the old key, %d with the new one", old, new)
	}
	if _, stderr, code := a.run("", "keys", "revoke", a.keyID(last)); code != 0 || stderr != "revoked; running servers refuse the key within 5 seconds\n" {
		t.Errorf("revoke: exit code %d, %q", code, stderr)
	}
	expectLine(a.keyID(last), `.*\tno limit\t.*\trevoked\t-`)
	expectLine(a.keyID(a.newKey("acme", "--expires", "1ms")), `.*\texpired\t-`)
	expectLine(a.keyID(a.newKey("umbrella", "--permission", "providers:read", "--expires", "14d")), `.*\t"umbrella"\t"test"\tproviders:read\t.*\t`+when+`\tnever\tactive\t-`)
}

// TestKeyList selects keys by organization and state.
func TestKeyList(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ids := map[string]string{} // by state
	for state, flags := range map[string][]string{"active": nil, "rotating": nil, "expired": {"--expires", "1ms"}, "revoked": nil, "other": nil} {
		organization := "acme"
		if state == "other" {
			organization = "umbrella"
		}
		ids[state] = s.keyID(s.newKey(organization, flags...))
	}
	s.mustRun("", "keys", "revoke", ids["revoked"])
	ids["successor"] = s.keyID(strings.TrimSpace(s.mustRun("", "keys", "rotate", ids["rotating"])))
	s.mustRun("", "organizations", "suspend", "umbrella")
	for flags, states := range map[string][]string{
		"":                                       {"active", "rotating", "expired", "revoked", "successor", "other"},
		"--organization acme":                    {"active", "rotating", "expired", "revoked", "successor"},
		"--state active":                         {"active", "successor"},
		"--state rotating":                       {"rotating"},
		"--state expired,revoked":                {"expired", "revoked"},
		"--state suspended":                      {"other"},
		"--organization umbrella --state active": {},
		"--organization acme --state active --json":  {"active", "successor"},
		"--organization umbrella --state suspended":  {"other"},
		"--state expired --state rotating --json":    {"expired", "rotating"},
		"--organization umbrella --state=suspended ": {"other"},
	} {
		stdout := s.mustRun("", append([]string{"keys", "list"}, strings.Fields(flags)...)...)
		header, rows, _ := strings.Cut(stdout, "\n")
		if strings.Contains(flags, "--json") {
			rows = stdout
		} else if len(states) > 0 && header != "ID\tPREFIX\tORGANIZATION\tNAME\tPERMISSIONS\tLIMIT\tCREATED\tENDS\tUSED\tSTATE\tSUCCESSOR" {
			t.Errorf("%q: the header is %q", flags, header)
		}
		got := regexp.MustCompile(`(?m)(^|"id":")(key_\w+)`).FindAllStringSubmatch(rows, -1)
		missing := slices.DeleteFunc(slices.Clone(states), func(state string) bool { return strings.Contains(rows, ids[state]) })
		if len(got) != len(states) || len(missing) != 0 {
			t.Errorf("%q: without the keys %q:\n%s", flags, missing, stdout)
		}
	}
	var key map[string]any
	if err := json.Unmarshal([]byte(s.mustRun("", "keys", "list", "--state", "rotating", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	for name, pattern := range map[string]string{"createdAt": `^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$`, "revokedAt": `Z"$`, "prefix": `^"cc_\w{6}"$`} {
		if text, _ := json.Marshal(key[name]); !regexp.MustCompile(pattern).Match(text) {
			t.Errorf("%s is %s", name, text)
		}
		delete(key, name)
	}
	want := `{"expiresAt":null,"id":"` + ids["rotating"] + `","lastUsedAt":null,"name":"test","organization":"acme","permissions":["providers:read","providers:write"],"rateLimit":0,"state":"rotating","successor":"` + ids["successor"] + `"}`
	if text, _ := json.Marshal(key); string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestKeyManagement changes and removes keys.
func TestKeyManagement(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	path := a.newRecord().path()
	get := func() response { return a.send(request{Method: http.MethodGet, Path: path}) }
	if got := get().Header.Get("RateLimit-Policy"); got != "" {
		t.Errorf("the limit is %s, want none", got)
	}
	id := a.keyID(a.key)
	if _, stderr, code := a.run("", "keys", "update", id, "--rate-limit", "7", "--name", " new name "); code != 0 || stderr != "updated to \"new name\", 7/min; running servers follow within 5 seconds\n" {
		t.Errorf("update: exit code %d, %q", code, stderr)
	}
	await.State(t, "the server uses the new limit", func() bool { return get().Header.Get("RateLimit-Policy") == `"key";q=7;w=60` })

	for _, test := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"update", id}, 2, "update key: nothing to change; give --name, --rate-limit, or both"},
		{[]string{"update", id, "--name", " "}, 2, "--name: it must be 1 to 100 printable characters"},
		{[]string{"update", a.key, "--name", "x"}, 1, "update key: there is no key of that ID; IDs begin with key_ and are listed by keys list"},
		{[]string{"remove"}, 2, "remove key: give either the ID of a key or --ended-before"},
		{[]string{"remove", id, "--ended-before", "2026-01-01"}, 2, "remove key: give either the ID of a key or --ended-before"},
		{[]string{"remove", id}, 1, "remove key: the key has not ended; revoke it first"},
		{[]string{"remove", a.key}, 1, "remove key: there is no key of that ID; IDs begin with key_ and are listed by keys list"},
		{[]string{"remove", "--ended-before", "2026-01-01"}, 0, "removed 0 keys"},
		{[]string{"remove", "--ended-before", "9999-01-01"}, 2, "--ended-before: it is in the future"},
		{[]string{"revoke", id}, 0, "revoked; running servers refuse the key within 5 seconds"},
		{[]string{"update", id, "--rate-limit", "0"}, 0, `updated to "new name", no limit`},
		{[]string{"remove", id}, 0, "removed 1 key"},
		{[]string{"remove", id}, 1, "remove key: there is no key of that ID"},
	} {
		_, stderr, code := a.run("", append([]string{"keys"}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.stderr) || strings.Contains(stderr, a.key) {
			t.Errorf("%d arguments of %s: exit code %d, %q; want %d, %q", len(test.args), test.args[0], code, stderr, test.code, test.stderr)
		}
	}
	for range 2 { // the second removes nothing
		query(t, a.database, "UPDATE api_keys SET expires_at = 0, revoked_at = NULL, revoked = 0")
		a.mustRun("", "keys", "remove", "--ended-before", "2026-01-01")
	}
	if got := a.mustRun("", "keys", "list"); got != "" {
		t.Errorf("the keys:\n%s", got)
	}
}

// A key that was not printed is nobody's, so it must not work; and what it was to replace goes on.
func TestKeyThatIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	old := s.keyID(s.newKey("acme"))
	oldKey := func() string {
		return regexp.MustCompile("(?m)^" + old + "\t.*$").FindString(s.mustRun("", "keys", "list"))
	}
	before := oldKey()
	unread, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	unread.Close()
	defer written.Close()
	device := func(name string) *os.File {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	for _, output := range []struct {
		name  string
		file  *os.File
		keys  int // that were created, and revoked
		error string
	}{
		{"a pipe that nobody reads", written, 0, "nothing was done, as the key would be lost: nobody reads standard output"},
		{"the null device", device("/dev/null"), 0, "nothing was done, as the key would be lost: standard output is closed, or /dev/null"},
		{"a full disk", device("/dev/full"), 1, "nobody has got the key, so it was revoked: write /dev/stdout: no space left on device"},
	} {
		for _, line := range []string{"keys create --organization acme --name a", "keys rotate " + old, "keys rotate --overlap 0s " + old} {
			ended := strings.Count(s.mustRun("", "keys", "list"), "\trevoked\t")
			var stderr bytes.Buffer
			p := program(t.TempDir(), append(strings.Fields(line), "--database", s.database)...)
			p.Stdout, p.Stderr = output.file, &stderr
			p.Run() // an exit code is an error
			if code := p.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), output.error) || strings.Contains(stderr.String(), "created") != (output.keys > 0) {
				t.Errorf("%s, %s: exit code %d, %s", output.name, line, code, &stderr)
			}
			list := s.mustRun("", "keys", "list")
			if got := strings.Count(list, "\trevoked\t") - ended; got != output.keys || strings.Count(list, "\tactive\t") != 1 || oldKey() != before {
				t.Errorf("%s, %s: %d keys were revoked, want %d:\n%s", output.name, line, got, output.keys, list)
			}
		}
	}
}
