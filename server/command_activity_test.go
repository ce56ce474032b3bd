package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/postgrestest"
)

// TestActivityCommand asks what a key did, what happened to a customer, and in an organization.
func TestActivityCommand(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "test.db"), "PostgreSQL": postgrestest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, database)
			a, b := s.account("acme"), s.account("beta")
			r, other := a.newRecord(), b.newRecord()
			key := a.keyID(a.key)
			for _, city := range []string{"one", "two"} {
				a.send(request{Path: r.path(), Body: `{"city":"` + city + `"}`})
				b.send(request{Path: other.path(), Body: `{"city":"` + city + `"}`})
			}
			a.send(request{Method: http.MethodDelete, Path: r.path()})
			now := time.Now().UTC()
			today, tomorrow := now.Add(-time.Hour).Format(time.DateOnly), now.AddDate(0, 0, 1).Format(time.DateOnly) // the day is included

			for _, tt := range []struct {
				flags string
				want  []string // organization, action
			}{
				{"--key " + key, []string{"acme deleted", "acme updated", "acme updated"}},
				{"--key " + key + " --organization beta", nil},
				{"--customer " + other.customer, []string{"beta updated", "beta updated", "beta created"}},
				{"--organization acme", []string{"acme deleted", "acme updated", "acme updated", "acme created"}},
				{"--until 2020-01-01T00:00:00Z", nil},
				{r.id + " --key " + key, []string{"acme updated", "acme updated", "acme deleted"}},
				{r.id + " --until 2020-01-01", nil},
				{"--since " + today + " --until " + tomorrow + " --organization beta", []string{"beta updated", "beta updated", "beta created"}},
			} {
				args := append([]string{"history"}, strings.Fields(tt.flags)...)
				var got []string
				for line := range strings.Lines(s.mustRun("", append(args, "--json")...)) {
					_, organization, _ := strings.Cut(line, `{"organization":"`)
					_, action, _ := strings.Cut(line, `"action":"`)
					organization, _, _ = strings.Cut(organization, `"`)
					action, _, _ = strings.Cut(action, `"`)
					got = append(got, organization+" "+action)
				}
				if strings.Join(got, ", ") != strings.Join(tt.want, ", ") {
					t.Errorf("%s:\ngot  %s\nwant %s", tt.flags, got, tt.want)
				}
			}
			table := s.mustRun("", "history", "--key", key)
			header, rest, _ := strings.Cut(table, "\n")
			if got := strings.Join(strings.Fields(header), " "); got != "TIME ORGANIZATION CUSTOMER PROVIDER VERSION ACTION BY REQUEST CHANGES" || !strings.Contains(rest, r.customer+"  "+r.id+"  4        deleted") {
				t.Errorf("the table:\n%s", table)
			}
			line, _, _ := strings.Cut(s.mustRun("", "history", "--key", key, "--json"), "\n")
			if want := `{"organization":"acme","customerId":"` + r.customer + `","providerId":"` + r.id + `","version":4,"at":"`; !strings.HasPrefix(line, want) {
				t.Errorf("got  %s\nwant %s…", line, want)
			}
		})
	}
	for _, tt := range []struct{ args, want string }{
		{"", "name a provider, or what to look for: --key, --customer, --organization, --since, --until"},
		{"3c90c3cc-0d44-4b50-8888-8dd25736052a --customer 3c90c3cc-0d44-4b50-8888-8dd25736052a", "leave it or the provider's ID out"},
		{"--since yesterday", "write it as 2026-01-31 or 2026-01-31T19:00:00Z"},
	} {
		if _, stderr, code := run("", append([]string{"history"}, strings.Fields(tt.args)...)...); code != 2 || !strings.Contains(stderr, tt.want) {
			t.Errorf("history %s: exit code %d, %s", tt.args, code, stderr)
		}
	}
}
