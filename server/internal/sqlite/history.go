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
	insertEvent = `INSERT INTO provider_events (previous, version, at, action, key_id, request_id, changes)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
	selectEvents = `WITH RECURSIVE history AS (
			SELECT * FROM provider_events WHERE row = ?1
			UNION ALL
			SELECT provider_events.* FROM history JOIN provider_events ON provider_events.row = history.previous
		)
		SELECT version, at, action, key_id, request_id, changes FROM history WHERE version < ?2 LIMIT ?3`
	selectHistory = `WITH RECURSIVE history AS (
			SELECT provider_events.*, organization_id FROM providers JOIN provider_events ON provider_events.row = last_event
			WHERE organization_id IN (SELECT id FROM organizations) AND providers.id = ?1
			UNION ALL
			SELECT provider_events.*, organization_id FROM history JOIN provider_events ON provider_events.row = history.previous
		)
		SELECT version, at, action, key_id, request_id, changes, name FROM history JOIN organizations ON organizations.id = organization_id
		ORDER BY at, organization_id, version`
)

// History implements [provider.Store]. Its two statements need no transaction: the events before another never change.
func (s *Store) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) (events []provider.Event, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.readPage(ctx, func(c *sqlite.Conn) error {
		record, err := find(c, organization, customer, id)
		if err != nil {
			return err
		}
		return sqlitex.Execute(c, selectEvents, &sqlitex.ExecOptions{Args: []any{record.lastEvent, before, limit}, ResultFunc: func(s *sqlite.Stmt) error {
			event, err := scanEvent(s, id)
			events = append(events, event)
			return err
		}})
	})
	return events, err
}

// HistoryByID implements [provider.Store].
func (s *Store) HistoryByID(ctx context.Context, id uuid.UUID) (events []provider.OrganizationEvent, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, selectHistory, &sqlitex.ExecOptions{Args: []any{id[:]}, ResultFunc: func(s *sqlite.Stmt) error {
			event, err := scanEvent(s, id)
			events = append(events, provider.OrganizationEvent{Organization: s.ColumnText(6), Event: event})
			return err
		}})
	})
	return events, err
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
	event.Changes, err = wire.ParseChanges([]byte(s.ColumnText(5)))
	return event, err
}

func saveEvent(c *sqlite.Conn, current *row, event *provider.Event) (int64, error) {
	var scratch [512]byte
	changes, err := wire.AppendChanges(scratch[:0], event.Changes)
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
	if err := run(statement); err != nil {
		return 0, err
	}
	return c.LastInsertRowID(), nil
}
