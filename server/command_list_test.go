package main

import (
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/google/uuid"
)

// TestLists lists organizations, customers and keys, on both stores.
func TestLists(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": t.TempDir() + "/test.db", "PostgreSQL": postgrestest.New(t)} {
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
				{[]string{"organizations", "list"}, "NUMBER\tNAME\tSTATE\tACTIVE KEYS\n1\t\"acme\"\tactive\t1\n2\t\"other\"\tactive\t1\n"},
				{[]string{"organizations", "list", "--json"}, "{\"activeKeys\":1,\"name\":\"acme\",\"number\":1,\"state\":\"active\"}\n{\"activeKeys\":1,\"name\":\"other\",\"number\":2,\"state\":\"active\"}\n"},
				{[]string{"customers", "list", "--organization", "acme"}, "CUSTOMER\tPROVIDERS\n" + first.String() + "\t2\n" + second.String() + "\t0\n"},
				{[]string{"customers", "list", "--organization", "other", "--json"}, "{\"customerId\":\"" + second.String() + "\",\"providers\":1}\n"},
			} {
				if got := s.mustRun("", test.args...); got != test.want {
					t.Errorf("%q: got\n%swant\n%s", test.args, got, test.want)
				}
			}
			if got := s.mustRun("", "keys", "list", "--organization", "other"); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"other"`) {
				t.Errorf("the keys of one organization:\n%s", got)
			}
			if _, stderr, code := s.run("", "customers", "list", "--organization", "nobody"); code != 1 || !strings.Contains(stderr, `there is no organization "nobody"`) {
				t.Errorf("exit code %d, %s", code, stderr)
			}
		})
	}
}
