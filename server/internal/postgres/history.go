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

	// The inner query looks in one organization after another; the key of an event begins with it.
	selectHistory = `SELECT found.*, organizations.name FROM organizations CROSS JOIN LATERAL (
			SELECT version, at, action, key_id, request_id, changes FROM provider_events
			WHERE organization_id = organizations.id AND provider_id = $1 ORDER BY version
		) AS found
		ORDER BY at, organizations.id, version`
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

// HistoryByID implements [provider.Store].
func (s *Store) HistoryByID(ctx context.Context, id uuid.UUID) ([]provider.OrganizationEvent, error) {
	return read(ctx, s, func(row pgx.CollectableRow) (event provider.OrganizationEvent, err error) {
		event.Event, err = scanEvent(row, id, &event.Organization)
		return event, err
	}, selectHistory, [16]byte(id))
}

func scanEventOf(id uuid.UUID) pgx.RowToFunc[provider.Event] {
	return func(row pgx.CollectableRow) (provider.Event, error) { return scanEvent(row, id) }
}

// scanEvent reads the columns of an event. Those after them have the given destinations.
func scanEvent(row pgx.CollectableRow, id uuid.UUID, after ...any) (provider.Event, error) {
	event := provider.Event{ProviderID: id}
	var text []byte
	err := row.Scan(append([]any{&event.Version, &event.At, (*string)(&event.Action), &event.By.KeyID, &event.By.RequestID, &text}, after...)...)
	if err == nil {
		event.At = event.At.UTC()
		event.Changes, err = wire.ParseChanges(text)
	}
	return event, err
}
