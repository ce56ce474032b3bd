package postgres

import (
	"context"
	"math"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	selectEvents = `SELECT version, at, action, key_id, request_id, changes FROM provider_events
		WHERE organization_id = $1 AND provider_id = $2 AND version < $3 ORDER BY version DESC LIMIT $4`

	// The inner query looks in one organization after another, as the key of a record begins with it.
	selectOwners = `SELECT organizations.id, name, version FROM organizations CROSS JOIN LATERAL (
			SELECT version FROM providers WHERE organization_id = organizations.id AND providers.id = $1 LIMIT 1
		) AS found ORDER BY organizations.id`
)

// History implements [provider.Store].
func (s *Store) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	var (
		found  []provider.Provider
		events []provider.Event
	)
	err := s.readPage(ctx, func(b *pgx.Batch) {
		b.Queue(selectProvider, organization, [16]byte(id)).Query(into(&found, scanProvider))
		b.Queue(selectEvents, organization, [16]byte(id), before, limit).Query(into(&events, s.numbers.scanEventOf(id)))
	})
	if err == nil && !has(customer, found) {
		err = provider.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}

// Events implements [provider.Store].
func (s *Store) Events(ctx context.Context, organization int64, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	return read(ctx, s, s.numbers.scanEventOf(id), selectEvents, organization, [16]byte(id), before, limit)
}

// Owners implements [provider.Store].
func (s *Store) Owners(ctx context.Context, id uuid.UUID) ([]provider.Owner, error) {
	return read(ctx, s, pgx.RowToStructByPos[provider.Owner], selectOwners, [16]byte(id))
}

const (
	deleteEvents = `DELETE FROM provider_events WHERE organization_id = $1 AND provider_id = $2 AND version <= $3
		AND version < (SELECT version FROM providers WHERE organization_id = $1 AND id = $2)`
	clearEvent = "UPDATE provider_events SET changes = '{}' WHERE organization_id = $1 AND provider_id = $2 AND version = $3"

	selectFirstVersions = "SELECT id, version FROM providers WHERE organization_id = $1 ORDER BY id LIMIT $2"
	selectVersions      = "SELECT id, version FROM providers WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3"
)

// RemoveEvents implements [provider.Store].
func (s *Store) RemoveEvents(ctx context.Context, organization int64, upTo []provider.RecordVersion) (int, error) {
	var removed int64
	err := s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		removed = 0
		b := new(pgx.Batch)
		b.Queue("BEGIN")
		for _, one := range upTo {
			b.Queue(deleteEvents, organization, [16]byte(one.ID), one.Version).Exec(func(tag pgconn.CommandTag) error {
				removed += tag.RowsAffected()
				return nil
			})
		}
		b.Queue("COMMIT")
		return toCommitError(c, c.SendBatch(ctx, b).Close())
	})
	if err != nil {
		return 0, err
	}
	return int(removed), nil
}

// ListVersions implements [provider.Store].
func (s *Store) ListVersions(ctx context.Context, organization int64, after *uuid.UUID, limit int) ([]provider.RecordVersion, error) {
	scan := func(row pgx.CollectableRow) (one provider.RecordVersion, err error) {
		err = row.Scan((*[16]byte)(&one.ID), &one.Version)
		return one, err
	}
	if after == nil {
		return read(ctx, s, scan, selectFirstVersions, organization, limit)
	}
	return read(ctx, s, scan, selectVersions, organization, [16]byte(*after), limit)
}

func (n *numbers) scanEventOf(id uuid.UUID) pgx.RowToFunc[provider.Event] {
	return func(row pgx.CollectableRow) (provider.Event, error) {
		event, stored, err := scanEvent(row)
		event.ProviderID = id
		if err == nil {
			err = n.Load().Parse(stored, &event)
		}
		return event, err
	}
}

// scanEvent reads the columns of an event. Some are still as they are stored. Further columns have the given destinations.
func scanEvent(row pgx.CollectableRow, more ...any) (event provider.Event, stored wire.StoredEvent, err error) {
	all := append([]any{&event.Version, &event.At, &stored.Action, &event.By.KeyID, &stored.RequestID, &stored.Changes}, more...)
	err = row.Scan(all...)
	event.At = event.At.UTC()
	return event, stored, err
}
