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
	insertEvent = `INSERT INTO provider_events (record, previous, version, at, action, key_id, request_id, changes)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`

	// An index has one event in 64 of a record, so that a page of a long history is found without a walk from its end. An index of each
	// event would cost every change a page.
	selectIndexed = "SELECT row FROM provider_events WHERE record = ?1 AND version >= ?2 AND version % 64 = 0 ORDER BY version LIMIT 1"
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
		events, err = s.readEvents(c, record, before, limit)
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
		events, err = s.readEvents(c, record, before, limit)
		return err
	})
	return events, err
}

// readEvents returns events of a record with a version below before, or the latest if that is 0.
func (s *Store) readEvents(c *sqlite.Conn, record *row, before int64, limit int) (events []provider.Event, err error) {
	start := record.lastEvent
	if before == 0 {
		before = math.MaxInt64
	} else if start, err = eventNear(c, record, before-1); err != nil {
		return nil, err
	}
	err = sqlitex.Execute(c, selectEvents, &sqlitex.ExecOptions{Args: []any{start, before, limit}, ResultFunc: func(statement *sqlite.Stmt) error {
		event, err := scanEvent(c, statement, record.ID, &s.numbers)
		events = append(events, event)
		return err
	}})
	return events, err
}

// eventNear returns the row of an event of that version, or of one that is soon after it.
func eventNear(c *sqlite.Conn, record *row, version int64) (int64, error) {
	near := record.lastEvent
	err := sqlitex.Execute(c, selectIndexed, &sqlitex.ExecOptions{Args: []any{record.rowID, version}, ResultFunc: func(s *sqlite.Stmt) error {
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
	err := s.writeShared(ctx, len(upTo), func(c *sqlite.Conn) error {
		removed = 0
		for _, one := range upTo {
			record, err := load(c, organization, one.ID)
			if err != nil {
				return err
			}
			if record == nil {
				continue
			}
			n, err := removeEvents(c, record, min(one.Version, record.Version-1))
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

func removeEvents(c *sqlite.Conn, record *row, upTo int64) (removed int, _ error) {
	near, err := eventNear(c, record, upTo)
	if err == nil {
		err = execute(c, deleteEvents, near, upTo)
	}
	return c.Changes(), err
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

// scanEvent reads the columns of an event in the statement of a connection. If it fails, the event has no changes.
func scanEvent(c *sqlite.Conn, s *sqlite.Stmt, id uuid.UUID, numbers *propertyNumbers) (provider.Event, error) {
	event := provider.Event{
		ProviderID: id,
		Version:    s.ColumnInt64(0),
		At:         time.UnixMilli(s.ColumnInt64(1)).UTC(),
		By:         provider.Actor{KeyID: s.ColumnText(3)},
	}
	err := numbers.parse(c, wire.StoredEvent{Action: s.ColumnText(2), RequestID: s.ColumnText(4), Changes: []byte(s.ColumnText(5))}, &event)
	return event, err
}

// saveEvent saves an event after the latest one of its record.
func (s *Store) saveEvent(c *sqlite.Conn, record *row, event *provider.Event) (int64, error) {
	var scratch [512]byte
	stored, err := s.numbers.Load().Store(scratch[:0], event)
	if err != nil {
		return 0, err
	}
	statement, err := c.Prepare(insertEvent)
	if err != nil {
		return 0, err
	}
	statement.BindInt64(1, record.rowID)
	if record.lastEvent == 0 {
		statement.BindNull(2)
	} else {
		statement.BindInt64(2, record.lastEvent)
	}
	statement.BindInt64(3, event.Version)
	statement.BindInt64(4, event.At.UnixMilli())
	statement.BindText(5, stored.Action)
	statement.BindText(6, event.By.KeyID)
	statement.BindText(7, stored.RequestID)
	statement.BindText(8, string(stored.Changes))
	if err := run(statement); err != nil {
		return 0, err
	}
	saved := c.LastInsertRowID()
	return saved, savePart(c, saved)
}
