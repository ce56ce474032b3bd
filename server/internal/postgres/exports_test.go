package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// exported is how many records are several pieces.
const exported = 4000

// TestExportHoldsNothing has a reader that stops, and one whose connections are lost meanwhile. An export reads piece by piece: it
// holds no connection and no snapshot while its reader works, and goes on where it was.
func TestExportHoldsNothing(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	org.fill(exported)
	c := connect(t, dsn)
	seen := map[uuid.UUID]bool{}
	err := provider.Export(t.Context(), org, org.organization, func(_ uuid.UUID, record *provider.Provider) error {
		if len(seen)%1000 == 0 {
			if n := queryInt(t, c, "SELECT count(*) "+others+" AND state <> 'idle'"); n != 0 {
				t.Errorf("%d sessions are in a transaction", n)
			}
			terminateOthers(t, c)
		}
		if seen[record.ID] {
			t.Fatal("a record came twice")
		}
		seen[record.ID] = true
		return nil
	})
	if want := 1 + exported; err != nil || len(seen) != want {
		t.Errorf("%d records, error %v; want %d", len(seen), err, want)
	}
}

// TestAnExportThatEndsEarly sees to it that nobody reads, or waits for, what is left.
func TestAnExportThatEndsEarly(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	org := newFixture(t, dsn, postgres.Options{})
	org.fill(exported)
	full := errors.New("the disk is full")
	leaving, leave := context.WithCancel(t.Context())
	for _, c := range []struct {
		name string
		ctx  context.Context
		f    func() error
		want error
	}{
		{"f has an error", t.Context(), func() error { return full }, full},
		{"the caller leaves", leaving, func() error { leave(); return nil }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			err := provider.Export(c.ctx, org, org.organization, func(uuid.UUID, *provider.Provider) error { calls++; return c.f() })
			if err != c.want || calls > exported {
				t.Errorf("error %v after %d calls, want %v before the last", err, calls, c.want)
			}
			if _, err := org.get(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
