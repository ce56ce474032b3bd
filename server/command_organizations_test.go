package main

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
)

// TestSuspension suspends an organization under two servers, and resumes it.
func TestSuspension(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	first, second := serve(t, database), serve(t, database)
	a, other := first.account("acme"), first.account("other")
	kept := a.newRecord()
	revoked := a.newKey("acme")
	a.mustRun("", "keys", "revoke", a.keyID(revoked))
	get := func(s *server, key string) func() response {
		return func() response {
			return s.send(request{Method: http.MethodGet, Path: kept.path(), Key: key})
		}
	}
	before := awaitStatus(t, http.StatusOK, get(second, a.key))
	list := a.mustRun("", "keys", "list", "--organization", "acme", "--json")

	if _, stderr, code := a.run("", "organizations", "suspend", "acme"); code != 0 || stderr != "suspended; running servers refuse its keys within 5 seconds\n" {
		t.Errorf("suspend: exit code %d, %q", code, stderr)
	}
	suspended := problem("FORBIDDEN", "The organization of this API key is suspended. Nothing was changed; the operator of the server can resume it.")
	for _, s := range []*server{first, second} {
		if got := awaitStatus(t, http.StatusForbidden, get(s, a.key)); got.Body != suspended {
			t.Errorf("got %s, want %s", got.Body, suspended)
		}
		for key, want := range map[string]response{
			revoked:           {Status: http.StatusUnauthorized, Body: unauthorized},
			apikey.Generate(): {Status: http.StatusUnauthorized, Body: unauthorized},
			other.key:         {Status: http.StatusNotFound, Body: problem("NOT_FOUND", "This customer has no such provider.")},
		} {
			if got := get(s, key)(); got.Status != want.Status || got.Body != want.Body {
				t.Errorf("another key: %d %s, want %d %s", got.Status, got.Body, want.Status, want.Body)
			}
		}
	}
	if got := a.mustRun("", "organizations", "list"); !strings.Contains(got, "\t\"acme\"\tsuspended\t1\n") {
		t.Errorf("the organizations:\n%s", got)
	}
	a.newRecord() // commands still work
	if got := a.mustRun("", "export", "--organization", "acme"); strings.Count(got, "\n") != 2 {
		t.Errorf("the export:\n%s", got)
	}

	if _, stderr, code := a.run("", "organizations", "resume", "acme"); code != 0 || stderr != "resumed; running servers accept its keys within 5 seconds\n" {
		t.Errorf("resume: exit code %d, %q", code, stderr)
	}
	for _, s := range []*server{first, second} {
		if got := awaitStatus(t, http.StatusOK, get(s, a.key)); got.Body != before.Body {
			t.Errorf("the record is %s, want %s", got.Body, before.Body)
		}
	}
	if got := a.mustRun("", "keys", "list", "--organization", "acme", "--json"); len(got) != len(list) || strings.Contains(got, "suspended") {
		t.Errorf("the keys are\n%s, want\n%s", got, list)
	}
}

// TestOrganizationNames creates, finds and renames organizations by names that look alike.
func TestOrganizationNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const line = `{"customerId": "3c90c3cc-0d44-4b50-8888-8dd25736052a"}`
	const looks = `"Acme Health", which looks the same; correct --organization, or add --new-organization to create another one`
	for _, test := range []struct {
		stdin  string
		args   []string
		code   int
		stderr string
	}{
		{"", []string{"keys", "create", "--name", "a", "--organization", "  Acme   Health "}, 0, `created the organization "Acme Health", as there was none of that name`},
		{"", []string{"keys", "create", "--name", "a", "--organization", "acme health"}, 1, `create key: there is no organization "acme health", but ` + looks},
		{line, []string{"import", "-", "--organization", "Аcme Health"}, 1, `import: there is no organization "Аcme Health", but ` + looks},
		{line, []string{"import", "-", "--organization", "Acme Health"}, 0, "imported 0 records; 1 line with a customer alone"},
		{line, []string{"import", "-", "--organization", "AcmeHealth", "--new-organization"}, 0, `created the organization "AcmeHealth"`},
		{"", []string{"organizations", "rename", "Acme Health", "acmehealth"}, 1, `rename organization: the name looks like that of the existing organization "AcmeHealth"`},
		{"", []string{"organizations", "rename", "AcmeHealth", "Umbrella"}, 0, `renamed the organization to "Umbrella"`},
		{"", []string{"organizations", "rename", "Acme Health", "ACME Health"}, 0, `renamed the organization to "ACME Health"`},
		{"", []string{"organizations", "rename", "Acme Health", "x"}, 1, `rename organization: there is no organization "Acme Health" in this database; check the name and --database`},
		{"", []string{"organizations", "suspend", "nobody"}, 1, `there is no organization "nobody" in this database`},
		{"", []string{"keys", "list", "--organization", "nobody"}, 1, `there is no organization "nobody" in this database`},
	} {
		if _, stderr, code := s.run(test.stdin, test.args...); code != test.code || !strings.Contains(stderr, test.stderr) {
			t.Errorf("%q: exit code %d, %q; want %d, %q", test.args, code, stderr, test.code, test.stderr)
		}
	}
	want := "NUMBER\tNAME\tSTATE\tACTIVE KEYS\n1\t\"ACME Health\"\tactive\t1\n2\t\"Umbrella\"\tactive\t0\n"
	if got := s.mustRun("", "organizations", "list"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A closed standard output is found out before a key is created.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	database := migrated(t, t.TempDir()+"/test.db")
	var stderr bytes.Buffer
	p := program(t.TempDir(), "keys", "create", "--organization", "acme", "--name", "a", "--database", database)
	shell := exec.Command("sh", append([]string{"-c", `exec "$@" >&-`, "sh"}, p.Args...)...)
	shell.Env, shell.Stderr = p.Env, &stderr
	shell.Run() // an exit code is an error
	if code := shell.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "standard output is closed") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
	if keys := query(t, database, "SELECT count(*) FROM api_keys"); keys[0] != 0 {
		t.Errorf("%d keys were created", keys[0])
	}
}
