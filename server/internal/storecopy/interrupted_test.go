package storecopy_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storecopy"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// newSource creates a database with that many records.
func newSource(t *testing.T, k kind, records int) (name string) {
	t.Helper()
	name = k.create(t)
	s := open(t, k, name)
	defer s.Close()
	organization, _, err := s.EnsureOrganization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	customer, imports := uuid.New(), make([]provider.Import, records)
	for i := range imports {
		imports[i] = provider.Import{ID: uuid.New(), Patch: storetest.PatchOf(i)}
		imports[i].Patch.CustomerID = &customer
	}
	if _, err := s.Import(t.Context(), organization, imports, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, k kind, name string) storetest.Store {
	t.Helper()
	s, err := k.open(t.Context(), name, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var errBroken = errors.New("broken")

// brokenTarget fails instead of its last commit, and counts what it adds.
type brokenTarget struct {
	storecopy.Target
	commits int // -1 for any number
	added   int
}

// Add implements [storecopy.Target].
func (b *brokenTarget) Add(ctx context.Context, t *schema.Table, row []any) error {
	b.added++
	return b.Target.Add(ctx, t, row)
}

// Commit implements [storecopy.Target].
func (b *brokenTarget) Commit(ctx context.Context) error {
	if b.commits == 0 {
		return errBroken
	}
	b.commits--
	return b.Target.Commit(ctx)
}

// TestInterrupted interrupts a copy twice. No store opens it in between, and it does not begin again.
func TestInterrupted(t *testing.T) {
	each(t, func(t *testing.T, from, to kind) {
		const records, rows = 300, 3 + len(property.Table) + 2*300 // with an organization, a customer, numbers of properties, and events
		fromName, toName := newSource(t, from, records), to.create(t)
		for _, run := range []struct {
			commits, added int
			err            error
		}{{1, 200, errBroken}, {3, 400, errBroken}, {-1, rows - 400, nil}} {
			added, err := copyBroken(t, from, fromName, to, toName, run.commits)
			if !errors.Is(err, run.err) || added < run.added-2 || added > run.added+2 {
				t.Errorf("%d rows were added, want %d: %v", added, run.added, err)
			}
			s, err := to.open(t.Context(), toName, time.Now)
			if err == nil {
				s.Close()
			}
			if wantErr := run.err != nil; errors.Is(err, schema.ErrIncompleteCopy) != wantErr {
				t.Errorf("open the copy after %d rows: %v", added, err)
			}
		}
		s := open(t, to, toName)
		defer s.Close()
		verified, err := s.Verify(t.Context(), func(p provider.Problem) { t.Error(p) })
		if err != nil || verified != (provider.Verified{Records: records, Versions: records}) {
			t.Errorf("verified %+v, %v", verified, err)
		}
	})
}

func copyBroken(t *testing.T, from kind, fromName string, to kind, toName string, commits int) (added int, _ error) {
	t.Helper()
	source, err := from.source(t.Context(), fromName)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := to.target(t.Context(), toName)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	broken := &brokenTarget{Target: target, commits: commits}
	_, err = storecopy.Copy(t.Context(), source, broken, quiet)
	return broken.added, err
}

var quiet = storecopy.Options{Begin: func(string, int64) {}, Progress: func(int64) {}}

// TestChangedSource goes on with a copy although the source has another record, or is another database.
func TestChangedSource(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			fromName, toName := newSource(t, k, 200), k.create(t)
			if _, err := copyBroken(t, k, fromName, k, toName, 2); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			if _, err := copyBroken(t, k, newSource(t, k, 200), k, toName, -1); err == nil || !strings.Contains(err.Error(), "is an incomplete copy of another database, or the source has changed since") {
				t.Errorf("another database: %v", err)
			}
			s := open(t, k, fromName)
			var first uuid.UUID
			if _, err := s.Import(t.Context(), 1, nil, []uuid.UUID{first}); err != nil {
				t.Fatal(err)
			}
			s.Close()
			_, err := copyBroken(t, k, fromName, k, toName, -1)
			if want := "the target has another row of customers (1, " + first.String() + ")"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the source has changed: %v, want %s", err, want)
			}
		})
	}
}

// forgetful is a target that returns another row than it was given.
type forgetful struct {
	storecopy.Target
	table  *schema.Table
	change func(row []any) []any
}

// Rows implements [storecopy.Source].
func (f *forgetful) Rows(ctx context.Context, t *schema.Table) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for row, err := range f.Target.Rows(ctx, t) {
			if t == f.table && err == nil {
				row = f.change(slices.Clone(row))
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// TestCompared has targets keep something else than they were given: they are not completed.
func TestCompared(t *testing.T) {
	t.Parallel()
	k := kinds[0]
	fromName := newSource(t, k, 3)
	for _, test := range []struct {
		table  *schema.Table
		column int
		value  any
	}{
		{schema.Organizations, 1, "another"},
		{schema.Customers, 1, [16]byte{}},
		{schema.Events, 3, time.Now().UTC()},
		{schema.Events, 7, nil},
		{schema.Providers, 3, int64(2)},
		{schema.Providers, len(schema.Providers.Columns) - 1, nil},
	} {
		toName := k.create(t)
		source, sourceErr := k.source(t.Context(), fromName)
		target, targetErr := k.target(t.Context(), toName)
		if err := errors.Join(sourceErr, targetErr); err != nil {
			t.Fatal(err)
		}
		wrong := &forgetful{target, test.table, func(row []any) []any {
			row[test.column] = test.value
			return row
		}}
		_, err := storecopy.Copy(t.Context(), source, wrong, quiet)
		if err == nil || !strings.HasPrefix(err.Error(), "the target has not kept this: row of "+test.table.Name) {
			t.Errorf("%s, column %d: %v", test.table.Name, test.column, err)
		}
		if err := errors.Join(source.Close(), target.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.open(t.Context(), toName, time.Now); !errors.Is(err, schema.ErrIncompleteCopy) {
			t.Errorf("%s, column %d: the target can be opened: %v", test.table.Name, test.column, err)
		}
	}
}

// TestTargetWithData names a target that has rows, and one that a store has opened.
func TestTargetWithData(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			fromName, toName := newSource(t, k, 1), newSource(t, k, 1)
			if err := copyAll(t.Context(), k, fromName, k, toName); !errors.Is(err, schema.ErrNotEmpty) {
				t.Errorf("a target with data: %v", err)
			}
			opened := k.create(t)
			if err := open(t, k, opened).Close(); err != nil {
				t.Fatal(err)
			}
			if err := copyAll(t.Context(), k, fromName, k, opened); err != nil {
				t.Errorf("a target without data: %v", err)
			}
		})
	}
}

// TestStopped stops a copy.
func TestStopped(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			fromName, toName := newSource(t, k, 300), k.create(t)
			source, sourceErr := k.source(t.Context(), fromName)
			target, targetErr := k.target(t.Context(), toName)
			if err := errors.Join(sourceErr, targetErr); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			stopping := quiet
			stopping.Progress = func(int64) { cancel() }
			_, err := storecopy.Copy(ctx, source, target, stopping)
			if err == nil || err.Error() != "it was stopped; run it again to go on" {
				t.Errorf("stopped: %v", err)
			}
			source.Close()
			target.Close()
			if err := copyAll(t.Context(), k, fromName, k, toName); err != nil {
				t.Error(err)
			}
		})
	}
}
