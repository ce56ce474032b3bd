package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestKeysAreBounded has the clock run while records are created, and counts the keys that are kept.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock(time.Now())
	s, ids := filled(t, 1, Options{Now: clock.Now})
	const perDay = 100
	for n := range 6 * perDay {
		clock.Move(provider.KeyLifetime / perDay)
		w := createOf(ids[0], uuid.New())
		w.Idempotency = provider.NewIdempotency(fmt.Sprint("key ", n), w.CustomerID, &w.Patch)
		if _, err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if kept := countCreations(t, s); kept > perDay*3/2 {
			t.Fatalf("%d keys are kept after %d creations, of which %d are of the last day", kept, n, perDay)
		}
	}
	if kept := countCreations(t, s); kept < perDay {
		t.Errorf("%d keys are kept, want the %d of the last day", kept, perDay)
	}
}

func countCreations(t *testing.T, s *Store) (n int) {
	t.Helper()
	err := s.read(t.Context(), func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, "SELECT count(*) FROM idempotency_keys", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			n = row.ColumnInt(0)
			return nil
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
