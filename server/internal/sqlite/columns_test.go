package sqlite

import (
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
)

// A column of another version of the contract, older or newer, keeps its values while a record lives and loses them with it.
func TestUnknownColumn(t *testing.T) {
	t.Parallel()
	s, ids := filled(t, 2, Options{})
	path := one(t, s, "SELECT file FROM pragma_database_list", (*sqlite.Stmt).ColumnText)
	for _, statement := range []string{"ALTER TABLE providers ADD COLUMN unheard_of TEXT", "UPDATE providers SET unheard_of = 'secret'"} {
		one(t, s, statement, (*sqlite.Stmt).ColumnInt64)
	}
	for i, action := range []provider.Action{provider.Updated, provider.Deleted} {
		w := provider.Write{Action: action, Organization: 1, CustomerID: ids[0], ID: ids[i]}
		if action == provider.Updated {
			w.Patch.CustomerID = &ids[1]
			if _, err := s.Import(t.Context(), 1, nil, ids); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	const query = "SELECT group_concat(deleted || ' ' || coalesce(unheard_of, 'null'), ', ') FROM (SELECT * FROM providers ORDER BY deleted)"
	if got := one(t, s, query, (*sqlite.Stmt).ColumnText); got != "0 secret, 1 null" {
		t.Errorf("the records have %s; want the value of the one that lives, and no other", got)
	}

	// A server that could not write does not start.
	one(t, s, "ALTER TABLE providers ADD COLUMN needed TEXT NOT NULL DEFAULT ''", (*sqlite.Stmt).ColumnInt64)
	if _, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "no property of the contract has the column needed") {
		t.Errorf("a column without a property that must have a value: %v", err)
	}
}
