package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	verifyPiece   = 500              // records that are read in a transaction
	verifyTimeout = 10 * time.Minute // for each of them, since a history can be long
)

// Verify reads all records, each with its history, and reports what is wrong with them, and rows that refer to others which do not exist.
// It changes nothing. Each piece of the records is read in the state of one moment; in memory are the records of a piece, and one event.
//
// PostgreSQL's own structures are not looked at: pg_amcheck does that.
func (s *Store) Verify(ctx context.Context, report func(provider.Problem)) (provider.Verified, error) {
	v := &verification{store: s, report: report}
	err := v.run(ctx)
	if ctx.Err() != nil {
		err = errors.New("it was stopped before it had read everything")
	}
	return v.verified, err
}

type verification struct {
	store    *Store
	report   func(provider.Problem)
	verified provider.Verified
}

const (
	selectStrayKeys = "SELECT id FROM api_keys WHERE NOT EXISTS (SELECT FROM organizations WHERE organizations.id = organization_id)"

	// The next organization that has anything, and whether it exists.
	selectNextOrganization = `SELECT id, EXISTS (SELECT FROM organizations WHERE organizations.id = next.id) FROM (
			SELECT min(id) AS id FROM (
				(SELECT id FROM organizations WHERE id > $1 ORDER BY id LIMIT 1) UNION ALL
				(SELECT organization_id FROM customers WHERE organization_id > $1 ORDER BY organization_id LIMIT 1) UNION ALL
				(SELECT organization_id FROM providers WHERE organization_id > $1 ORDER BY organization_id LIMIT 1) UNION ALL
				(SELECT organization_id FROM provider_events WHERE organization_id > $1 ORDER BY organization_id LIMIT 1)
			) AS all_tables
		) AS next WHERE id IS NOT NULL`
)

// The conditions that an ID is not before a piece: the first one of an organization, and the others.
const (
	fromFirst = "id >= $2"
	fromNext  = "id > $2"
)

// selectRecords returns the statement that reads the records of a piece, and whether the customer of each exists. For EXISTS PostgreSQL may
// read all customers of the organization first.
func selectRecords(condition string) string {
	return "SELECT (SELECT true FROM customers WHERE customers.organization_id = $1 AND customers.id = customer_id LIMIT 1) IS NOT NULL, " + columns +
		" FROM providers WHERE organization_id = $1 AND " + condition + " ORDER BY id LIMIT $3"
}

// selectHistories returns the statement that reads all events of a piece.
func selectHistories(condition string) string {
	return `SELECT version, at, action, key_id, request_id, changes, provider_id FROM provider_events
		WHERE organization_id = $1 AND provider_` + condition + " AND provider_id <= $3 ORDER BY provider_id DESC, version DESC"
}

type organization struct {
	Number int64
	Exists bool
}

func (v *verification) run(ctx context.Context) error {
	keys, err := read(ctx, v.store, pgx.RowTo[string], selectStrayKeys)
	if err != nil {
		return err
	}
	for _, id := range keys {
		v.report(provider.Problem{Text: "the organization of the key " + id + " does not exist"})
	}
	for after := int64(-1 << 63); ; {
		next, err := read(ctx, v.store, pgx.RowToStructByPos[organization], selectNextOrganization, after)
		if err != nil || len(next) == 0 {
			return err
		}
		after = next[0].Number
		if !next[0].Exists {
			v.report(provider.Problem{Organization: after, Text: "there are rows of it, but it does not exist"})
		}
		if err := v.checkOrganization(ctx, after); err != nil {
			return err
		}
	}
}

// checkOrganization reads its records in pieces, in the order of their IDs.
func (v *verification) checkOrganization(ctx context.Context, organization int64) error {
	p := piece{verification: v, organization: organization, condition: fromFirst, after: uuid.Nil}
	for {
		err := v.store.attempt(ctx, verifyTimeout, p.check)
		if err != nil || p.last == uuid.Max {
			return err
		}
		p.condition, p.after = fromNext, p.last
	}
}

// piece is a range of IDs of an organization.
type piece struct {
	*verification
	organization int64
	condition    string
	after, last  uuid.UUID // last is known once the records were read
}

// check compares the records of the piece with all events of the IDs from the first to the last. It reads both from the end, which is the
// order of an index for IDs and versions alike.
func (p *piece) check(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "SELECT set_config('statement_timeout', $1, true)", milliseconds(verifyTimeout)); err != nil {
		return err
	}
	records, err := p.readRecords(ctx, c)
	if err != nil {
		return err
	}
	if p.last = uuid.Max; len(records) == verifyPiece {
		p.last = records[len(records)-1].ID
	}
	if err := p.checkHistories(ctx, c, records); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "COMMIT")
	return err
}

func (p *piece) readRecords(ctx context.Context, c *pgx.Conn) (records []provider.Provider, _ error) {
	rows, err := c.Query(ctx, selectRecords(p.condition), p.organization, [16]byte(p.after), verifyPiece)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r provider.Provider, err error) {
		hasCustomer := false
		err = scan(row, &r, &hasCustomer)
		if err == nil && !hasCustomer {
			p.problem(r.ID, "its customer does not exist")
		}
		return r, err
	})
}

func (p *piece) problem(id uuid.UUID, text string) {
	p.report(provider.Problem{Organization: p.organization, ProviderID: id, Text: text})
}

func (p *piece) checkHistories(ctx context.Context, c *pgx.Conn, records []provider.Provider) error {
	var numbers numbers // of this moment
	if err := numbers.read(ctx, c); err != nil {
		return err
	}
	rows, err := c.Query(ctx, selectHistories(p.condition), p.organization, [16]byte(p.after), [16]byte(p.last))
	if err != nil {
		return err
	}
	defer rows.Close()
	h := histories{piece: p, records: records}
	h.begin()
	for rows.Next() {
		var id uuid.UUID
		event, stored, err := scanEvent(rows, (*[16]byte)(&id))
		if err != nil {
			return err
		}
		event.ProviderID = id
		err = numbers.Load().Parse(stored, &event)
		h.add(&event, err)
	}
	for h.check != nil {
		h.end()
	}
	return rows.Err()
}

// histories assigns events to the records of a piece, both from the end.
type histories struct {
	*piece
	records []provider.Provider // the last one is being checked
	check   *provider.HistoryCheck
	stray   *uuid.UUID // the last ID that has events and no record
}

// begin begins to check the last record, if there is one.
func (h *histories) begin() {
	h.check = nil
	if len(h.records) > 0 {
		h.verified.Records++
		h.check = provider.NewHistoryCheck(h.organization, &h.records[len(h.records)-1], h.report)
	}
}

// end goes on to the record before.
func (h *histories) end() {
	h.check.End()
	h.records = h.records[:len(h.records)-1]
	h.begin()
}

// add checks an event. readErr is that of its changes.
func (h *histories) add(e *provider.Event, readErr error) {
	h.verified.Versions++
	order := -1 // of the record and the event
	for h.check != nil {
		id := h.records[len(h.records)-1].ID
		if order = bytes.Compare(id[:], e.ProviderID[:]); order <= 0 {
			break
		}
		h.end()
	}
	switch {
	case h.check != nil && order == 0:
		h.check.Add(e, readErr)
	case h.stray == nil || *h.stray != e.ProviderID:
		h.stray = &e.ProviderID
		h.problem(e.ProviderID, fmt.Sprintf("it has a history up to version %d, but there is no record of it", e.Version))
	}
}
