package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The index on the time of events tells in which pages those of a span can be, and costs an event nothing. So events are read a span at
// a time, and sorted. A span is made longer or shorter by how many events it has.
const (
	firstSpan   = time.Minute
	longestSpan = 50 * 365 * 24 * time.Hour
	spanEvents  = 5000 // at most, unless it is a millisecond
	maxSpans    = 40   // in a call

	countSpan   = "SELECT count(*) FROM (SELECT FROM provider_events WHERE at >= $1 AND at < $2 LIMIT 5001) AS span"
	selectOlder = "SELECT 1 FROM provider_events WHERE at < $1 LIMIT 1"

	// The conditions with a parameter that can be null keep PostgreSQL from any other index.
	selectActivity = `SELECT version, at, action, key_id, request_id, changes, provider_id, record.customer_id, events.organization_id,
			(SELECT name FROM organizations WHERE id = events.organization_id)
		FROM provider_events AS events CROSS JOIN LATERAL (
			SELECT customer_id FROM providers WHERE organization_id = events.organization_id AND id = provider_id LIMIT 1
		) AS record
		WHERE at >= $1 AND at < $2 AND ($3::text = '' OR key_id = $3) AND ($4::bigint = 0 OR events.organization_id = $4)
			AND ($5::uuid IS NULL OR record.customer_id = $5) AND (at, events.organization_id, provider_id, version) < ($6, $7, $8, $9)
		ORDER BY at DESC, events.organization_id DESC, provider_id DESC, version DESC LIMIT $10::bigint`
)

// Activity implements [provider.Store].
func (s *Store) Activity(ctx context.Context, q provider.ActivityQuery) (provider.ActivityPage, error) {
	a := activity{store: s, query: q, before: place{at: farthest, provider: uuid.Max}, until: farthest}
	if !q.Until.IsZero() {
		a.until = q.Until
	}
	if q.Cursor != "" {
		var err error
		if a.before, err = parsePlace(q.Cursor); err != nil {
			return provider.ActivityPage{}, err
		}
		a.until = earlier(a.until, a.before.at.Add(time.Millisecond))
	}
	end, err := s.takePage(ctx)
	if err != nil {
		return provider.ActivityPage{}, err
	}
	defer end()
	err = a.read(ctx)
	return a.page, err
}

// farthest is after every time of an event.
var farthest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// place is an event's in the order of activity.
type place struct {
	at           time.Time
	organization int64
	provider     uuid.UUID
	version      int64
}

func (p place) String() string {
	return fmt.Sprintf("%d %d %s %d", p.at.UnixMilli(), p.organization, p.provider, p.version)
}

func parsePlace(cursor string) (p place, _ error) {
	var at int64
	var id string
	_, err := fmt.Sscanf(cursor, "%d %d %s %d", &at, &p.organization, &id, &p.version)
	if err == nil {
		p.provider, err = uuid.Parse(id)
	}
	if p.at = time.UnixMilli(at).UTC(); err != nil || p.String() != cursor {
		return p, provider.ErrInvalidCursor
	}
	return p, nil
}

// activity reads a page.
type activity struct {
	store  *Store
	query  provider.ActivityQuery
	before place     // the events that are left are before it
	until  time.Time // the end of the next span
	page   provider.ActivityPage
}

func (a *activity) read(ctx context.Context) error {
	span, end := firstSpan, a.until
	if end.Equal(farthest) { // the first span ends with all that the clock may have been ahead
		var err error
		if end, err = a.store.Now(ctx); err != nil {
			return err
		}
	}
	for range maxSpans {
		from := end.Add(-span).UTC().Truncate(time.Millisecond)
		if from.Before(a.query.Since) {
			from = a.query.Since
		}
		if !from.Before(a.until) {
			return nil
		}
		counts, err := read(ctx, a.store, pgx.RowTo[int], countSpan, from, a.until)
		if err != nil {
			return err
		}
		if counts[0] > spanEvents && span > time.Millisecond {
			span = max(span/8, time.Millisecond)
			continue
		}
		if full, err := a.readSpan(ctx, from, counts[0]); err != nil || full {
			return err
		}
		if done, err := a.done(ctx, from, counts[0]); err != nil || done {
			return err
		}
		if a.until, end = from, from; counts[0] < spanEvents/2 && span < longestSpan {
			span *= 2
		}
	}
	a.page.Next = place{at: a.until}.String()
	return nil
}

// readSpan reads the events from a time on, of which there are so many, and reports whether the page is full.
func (a *activity) readSpan(ctx context.Context, from time.Time, events int) (full bool, _ error) {
	if events == 0 {
		return false, nil
	}
	q, b := &a.query, a.before
	left := q.Limit - len(a.page.Events)
	found, err := read(ctx, a.store, a.store.numbers.scanActivity, selectActivity, from, a.until, q.KeyID, q.Organization, (*[16]byte)(q.CustomerID),
		b.at, b.organization, [16]byte(b.provider), b.version, left)
	if err != nil {
		return false, err
	}
	for i := range found {
		a.page.Events = append(a.page.Events, found[i].ActivityEvent)
	}
	if len(found) < left {
		return false, nil
	}
	last := &found[len(found)-1]
	a.page.Next = place{last.At, last.organization, last.ProviderID, last.Version}.String()
	return true, nil
}

// done reports whether there is no event before a span that began at a time and had so many.
func (a *activity) done(ctx context.Context, from time.Time, events int) (bool, error) {
	if !a.query.Since.Before(from) {
		return true, nil
	}
	if events > 0 {
		return false, nil
	}
	older, err := read(ctx, a.store, pgx.RowTo[int], selectOlder, from)
	return len(older) == 0, err
}

type activityRow struct {
	provider.ActivityEvent
	organization int64
}

func (n *numbers) scanActivity(row pgx.CollectableRow) (r activityRow, err error) {
	event, stored, err := scanEvent(row, (*[16]byte)(&r.ProviderID), (*[16]byte)(&r.CustomerID), &r.organization, &r.Organization)
	if err == nil {
		err = n.Load().Parse(stored, &event)
	}
	event.ProviderID = r.ProviderID
	r.Event = event
	return r, err
}
