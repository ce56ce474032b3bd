package sqlite

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/writes"
	"zombiezen.com/go/sqlite"
)

// Write implements [provider.Store].
func (s *Store) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	return s.writes.Write(ctx, w)
}

// runWrites is the transaction of a batch.
func (s *Store) runWrites(calls []provider.Write) ([]writes.Result, error) {
	results := make([]writes.Result, len(calls))
	err := s.write(context.Background(), func(c *sqlite.Conn) error {
		now := s.now()
		for i := range calls {
			next, err := s.runWrite(c, &calls[i], now)
			if err != nil && provider.CodeOf(err) == "" {
				return err
			}
			results[i] = writes.Result{Value: next, Err: err}
		}
		provider.Committing(calls)
		return nil
	})
	return results, err
}

func (s *Store) runWrite(c *sqlite.Conn, w *provider.Write, now time.Time) (provider.Provider, error) {
	if w.Idempotency != nil {
		return s.runOnce(c, w, now)
	}
	next, _, err := s.apply(c, w, now)
	return next, err
}

// apply applies a write to its record and saves the result.
func (s *Store) apply(c *sqlite.Conn, w *provider.Write, now time.Time) (provider.Provider, *provider.Event, error) {
	current, err := load(c, w.Organization, w.ID)
	if err != nil {
		return provider.Provider{}, nil, err
	}
	next, event, err := w.Apply(current.provider(), now)
	if err != nil || event == nil {
		return next, nil, err
	}
	if current == nil || next.CustomerID != current.CustomerID {
		known, err := customerExists(c, w.Organization, next.CustomerID)
		if err != nil {
			return next, nil, err
		}
		if !known {
			return next, nil, w.NoCustomer()
		}
	}
	return next, event, s.save(c, w.Organization, current, &next, event)
}

// save writes what Apply decided, the record and its event. current is nil for a new record.
func (s *Store) save(c *sqlite.Conn, organization int64, current *row, next *provider.Provider, event *provider.Event) error {
	if current == nil {
		last, err := number(c, selectLastRow)
		if err != nil {
			return err
		}
		current = &row{rowID: last + 1}
		lastEvent, err := s.saveEvent(c, current, event)
		if err != nil {
			return err
		}
		return insert(c, organization, current.rowID, next, lastEvent)
	}
	lastEvent, err := s.saveEvent(c, current, event)
	if err != nil {
		return err
	}
	if next.Deleted {
		return replace(c, organization, current, next, lastEvent)
	}
	statement, err := c.Prepare(updateProvider)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.provider(next, lastEvent)
	b.int64(current.rowID)
	if err := run(statement); err != nil {
		return err
	}
	if err := saveFilters(c, current, next); err != nil {
		return err
	}
	if next.CreatedAt.Equal(current.CreatedAt) && !current.Deleted && next.CustomerID == current.CustomerID {
		return nil
	}
	return execute(c, moveProvider, next.CreatedAt.UnixMilli(), next.CustomerID[:], current.rowID)
}

// replace writes a deleted record in the place of one. Unlike an update, it also removes the values of columns that a newer program has
// added.
func replace(c *sqlite.Conn, organization int64, current *row, next *provider.Provider, lastEvent int64) error {
	if err := execute(c, deleteProvider, current.rowID); err != nil {
		return err
	}
	return insert(c, organization, current.rowID, next, lastEvent)
}

func insert(c *sqlite.Conn, organization, rowID int64, next *provider.Provider, lastEvent int64) error {
	statement, err := c.Prepare(insertProvider)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.int64(rowID)
	b.int64(organization)
	b.uuid(next.ID)
	b.uuid(next.CustomerID)
	b.int64(next.CreatedAt.UnixMilli())
	b.bool(next.Deleted)
	b.provider(next, lastEvent)
	b.filters(next)
	return run(statement)
}

// saveFilters writes the properties of the index providers_by_filter if one of them has changed.
func saveFilters(c *sqlite.Conn, current *row, next *provider.Provider) error {
	changed := false
	for id := range next.Values {
		changed = changed || schema.InFilterIndex[id] && next.Values[id] != current.Values[id]
	}
	if !changed {
		return nil
	}
	statement, err := c.Prepare(updateFilters)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.filters(next)
	b.int64(current.rowID)
	return run(statement)
}
