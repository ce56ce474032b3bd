package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// While another process keeps the file locked, changes wait for five seconds in all, not one after another.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	const callers = 6
	start, errs := time.Now(), make(chan error)
	for range callers {
		go func() { errs <- s.Ping(t.Context()) }()
	}
	waited := make([]time.Duration, callers)
	for i := range callers {
		if err := <-errs; provider.CodeOf(err) != provider.CodeUnavailable {
			t.Errorf("while the file is locked: %v, want an error of code %s", err, provider.CodeUnavailable)
		}
		waited[i] = time.Since(start)
	}
	if first, last := waited[0], waited[callers-1]; last > callers/2*first { // whatever a second is on this machine
		t.Errorf("the changes have waited one after the other, for %v", waited)
	}
	if err := sqlitex.ExecuteTransient(other, "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("after that: %v", err)
	}
}
