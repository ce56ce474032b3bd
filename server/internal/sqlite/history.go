package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	insertEvent = `INSERT INTO provider_events (previous, version, at, action, key_id, request_id, changes, organization_id, provider_id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`

	// One event in eventInterval names its record, so that a page of a long history is found without a walk from its end. To name
	// the record in each would cost every change a page of an index.
	eventInterval = 64
	selectNamed   = "SELECT row FROM provider_events WHERE organization_id = ?1 AND provider_id = ?2 AND version >= ?3 ORDER BY version LIMIT 1"
	selectEvents  = `WITH RECURSIVE history AS (
			SELECT * FROM provider_events WHERE row = ?1
			UNION ALL
			SELECT provider_events.* FROM history JOIN provider_events ON provider_events.row = history.previous
		)
		SELECT version, at, action, key_id, request_id, changes FROM history WHERE version < ?2 LIMIT ?3`
	selectOwners = `SELECT organization_id, name, version FROM providers JOIN organizations ON organizations.id = organization_id
		WHERE organization_id IN (SELECT id FROM organizations) AND providers.id = ?1 ORDER BY organization_id`
)

// History implements [provider.Store]. Its statements need no transaction: the events before another never change.
func (s *Store) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) (events []provider.Event, err error) {
	err = s.readPage(ctx, func(c *sqlite.Conn) error {
		record, err := find(c, organization, customer, id)
		if err != nil {
			return err
		}
		events, err = readEvents(c, organization, record, before, limit)
		return err
	})
	return events, err
}

// Events implements [provider.Store].
func (s *Store) Events(ctx context.Context, organization int64, id uuid.UUID, before int64, limit int) (events []provider.Event, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		record, err := load(c, organization, id)
		if err != nil || record == nil {
			return err
		}
		events, err = readEvents(c, organization, record, before, limit)
		return err
	})
	return events, err
}

// readEvents returns events of a record with a version below before, or the latest if that is 0.
func readEvents(c *sqlite.Conn, organization int64, record *row, before int64, limit int) (events []provider.Event, err error) {
	start := record.lastEvent
	if before == 0 {
		before = math.MaxInt64
	} else if start, err = eventNear(c, organization, record, before-1); err != nil {
		return nil, err
	}
	err = sqlitex.Execute(c, selectEvents, &sqlitex.ExecOptions{Args: []any{start, before, limit}, ResultFunc: func(s *sqlite.Stmt) error {
		event, err := scanEvent(s, record.ID)
		events = append(events, event)
		return err
	}})
	return events, err
}

// eventNear returns the row of an event of that version, or of one that is soon after it.
func eventNear(c *sqlite.Conn, organization int64, record *row, version int64) (int64, error) {
	near := record.lastEvent
	err := sqlitex.Execute(c, selectNamed, &sqlitex.ExecOptions{Args: []any{organization, record.ID[:], version}, ResultFunc: func(s *sqlite.Stmt) error {
		near = s.ColumnInt64(0)
		return nil
	}})
	return near, err
}

// A chain is the rows of a record's events from one of them to the oldest.
const (
	chain = `WITH RECURSIVE chain AS (
			SELECT row, previous, version FROM provider_events WHERE row = ?1
			UNION ALL
			SELECT provider_events.row, provider_events.previous, provider_events.version FROM chain JOIN provider_events ON provider_events.row = chain.previous
		) `
	deleteEvents = chain + "DELETE FROM provider_events WHERE row IN (SELECT row FROM chain WHERE version <= ?2)"
	clearEvent   = "UPDATE provider_events SET changes = '{}' WHERE row = ?1"
)

// RemoveEvents implements [provider.Store].
func (s *Store) RemoveEvents(ctx context.Context, organization int64, upTo []provider.RecordVersion) (removed int, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		removed = 0
		for _, one := range upTo {
			record, err := load(c, organization, one.ID)
			if err != nil {
				return err
			}
			if record == nil {
				continue
			}
			n, err := removeEvents(c, organization, record, min(one.Version, record.Version-1))
			if err != nil {
				return err
			}
			removed += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func removeEvents(c *sqlite.Conn, organization int64, record *row, upTo int64) (removed int, _ error) {
	near, err := eventNear(c, organization, record, upTo)
	if err == nil {
		err = execute(c, deleteEvents, near, upTo)
	}
	return c.Changes(), err
}

// Purge implements [provider.Store]. The file keeps nothing of what is removed: SQLite overwrites it.
func (s *Store) Purge(ctx context.Context, organization int64, id uuid.UUID) error {
	notDeleted := false
	err := s.write(ctx, func(c *sqlite.Conn) error {
		record, err := load(c, organization, id)
		if err != nil {
			return err
		}
		if record == nil {
			return provider.ErrNotFound
		}
		if notDeleted = !record.Deleted; notDeleted {
			return nil
		}
		if _, err := removeEvents(c, organization, record, record.Version-1); err != nil {
			return err
		}
		return execute(c, clearEvent, record.lastEvent)
	})
	if notDeleted {
		return provider.ErrNotDeleted
	}
	return err
}

const selectVersions = "SELECT id, version FROM providers WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"

// ListVersions implements [provider.Store].
func (s *Store) ListVersions(ctx context.Context, organization int64, after *uuid.UUID, limit int) (all []provider.RecordVersion, err error) {
	id := []byte{} // before all others
	if after != nil {
		id = after[:]
	}
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, selectVersions, &sqlitex.ExecOptions{Args: []any{organization, id, limit}, ResultFunc: func(s *sqlite.Stmt) error {
			var one provider.RecordVersion
			s.ColumnBytes(0, one.ID[:])
			one.Version = s.ColumnInt64(1)
			all = append(all, one)
			return nil
		}})
	})
	return all, err
}

// Owners implements [provider.Store].
func (s *Store) Owners(ctx context.Context, id uuid.UUID) (owners []provider.Owner, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, selectOwners, &sqlitex.ExecOptions{Args: []any{id[:]}, ResultFunc: func(s *sqlite.Stmt) error {
			owners = append(owners, provider.Owner{Organization: s.ColumnInt64(0), Name: s.ColumnText(1), Version: s.ColumnInt64(2)})
			return nil
		}})
	})
	return owners, err
}

// scanEvent reads the columns of an event.
func scanEvent(s *sqlite.Stmt, id uuid.UUID) (provider.Event, error) {
	event := provider.Event{
		ProviderID: id,
		Version:    s.ColumnInt64(0),
		At:         time.UnixMilli(s.ColumnInt64(1)).UTC(),
		Action:     provider.Action(s.ColumnText(2)),
		By:         provider.Actor{KeyID: s.ColumnText(3), RequestID: s.ColumnText(4)},
	}
	var err error
	event.Changes, err = wire.ParseStoredChanges([]byte(s.ColumnText(5)))
	return event, err
}

func saveEvent(c *sqlite.Conn, organization int64, current *row, event *provider.Event) (int64, error) {
	var scratch [512]byte
	changes, err := wire.AppendStoredChanges(scratch[:0], event.Changes)
	if err != nil {
		return 0, err
	}
	statement, err := c.Prepare(insertEvent)
	if err != nil {
		return 0, err
	}
	if current == nil {
		statement.BindNull(1)
	} else {
		statement.BindInt64(1, current.lastEvent)
	}
	statement.BindInt64(2, event.Version)
	statement.BindInt64(3, event.At.UnixMilli())
	statement.BindText(4, string(event.Action))
	statement.BindText(5, event.By.KeyID)
	statement.BindText(6, event.By.RequestID)
	statement.BindText(7, string(changes))
	if event.Version%eventInterval == 0 {
		statement.BindInt64(8, organization)
		statement.BindBytes(9, event.ProviderID[:])
	} else {
		statement.BindNull(8)
		statement.BindNull(9)
	}
	if err := run(statement); err != nil {
		return 0, err
	}
	return c.LastInsertRowID(), nil
}
