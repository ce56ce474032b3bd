package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/command"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/google/uuid"
)

// TestLists lists organizations, customers and keys, on both stores.
func TestLists(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": t.TempDir() + "/test.db", "PostgreSQL": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, database)
			first, second := uuid.MustParse("11111111-1111-4111-8111-111111111111"), uuid.MustParse("22222222-2222-4222-8222-222222222222")
			s.importLines("acme", asJSON(changes{"customerId": first, "providerType": "Hospital"}), asJSON(changes{"customerId": first, "providerType": "Pharmacy"}), asJSON(changes{"customerId": second}))
			s.importLines("other", asJSON(changes{"customerId": second, "providerType": "Hospital"}))
			s.mustRun("", "keys", "create", "--organization", "acme", "--name", "a")
			s.mustRun("", "keys", "create", "--organization", "other", "--name", "b")
			for _, test := range []struct {
				args []string
				want string
			}{
				{[]string{"organizations", "list"}, "NUMBER\tNAME\n1\t\"acme\"\n2\t\"other\"\n"},
				{[]string{"organizations", "list", "--json"}, "{\"name\":\"acme\",\"number\":1}\n{\"name\":\"other\",\"number\":2}\n"},
				{[]string{"customers", "list", "--organization", "acme"}, "CUSTOMER\tPROVIDERS\n" + first.String() + "\t2\n" + second.String() + "\t0\n"},
				{[]string{"customers", "list", "--organization", "other", "--json"}, "{\"customerId\":\"" + second.String() + "\",\"providers\":1}\n"},
			} {
				if got := s.mustRun("", test.args...); got != test.want {
					t.Errorf("%q: got\n%swant\n%s", test.args, got, test.want)
				}
			}
			if got := s.mustRun("", "keys", "list", "--organization", "other"); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"other"`) {
				t.Errorf("the keys of one organization:\n%s", got)
			}
			if _, stderr, code := s.run("", "customers", "list", "--organization", "nobody"); code != 1 || !strings.Contains(stderr, `there is no organization "nobody"`) {
				t.Errorf("exit code %d, %s", code, stderr)
			}
		})
	}
}

// full is an output that cannot be written to.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A key that could not be printed is nobody's, so it must not work.
func TestKeyThatCannotBePrinted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var stderr bytes.Buffer
	code := command.Run(context.Background(), []string{"keys", "create", "--organization", "acme", "--name", "a", "--database", s.database}, strings.NewReader(""), full{}, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "the key could not be printed, and was revoked") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
	if got := s.mustRun("", "keys", "list"); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\trevoked\n") {
		t.Errorf("the keys:\n%s", got)
	}
}
