package postgres

import (
	"context"
	"math"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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
		b.Queue(selectEvents, organization, [16]byte(id), before, limit).Query(into(&events, scanEventOf(id)))
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
	return read(ctx, s, scanEventOf(id), selectEvents, organization, [16]byte(id), before, limit)
}

// Owners implements [provider.Store].
func (s *Store) Owners(ctx context.Context, id uuid.UUID) ([]provider.Owner, error) {
	return read(ctx, s, pgx.RowToStructByPos[provider.Owner], selectOwners, [16]byte(id))
}

func scanEventOf(id uuid.UUID) pgx.RowToFunc[provider.Event] {
	return func(row pgx.CollectableRow) (provider.Event, error) {
		event := provider.Event{ProviderID: id}
		var text []byte
		err := row.Scan(&event.Version, &event.At, (*string)(&event.Action), &event.By.KeyID, &event.By.RequestID, &text)
		if err == nil {
			event.At = event.At.UTC()
			event.Changes, err = wire.ParseStoredChanges(text)
		}
		return event, err
	}
}
