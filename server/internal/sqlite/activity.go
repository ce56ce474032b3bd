package sqlite

import (
	"context"
	"math"
	"strconv"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Events are in the order in which they were saved. A part of 1,024 is read at a time; the times of a part, which are written with its last
// event, tell whether it has any between two. So an event costs no index.
const (
	partBits      = 10
	maxPartsRead  = 64 // in a call
	selectLast    = "SELECT coalesce(max(row), 0) FROM provider_events"
	selectPart    = "SELECT part FROM provider_event_times WHERE part < ?1 AND newest >= ?2 AND oldest < ?3 ORDER BY part DESC LIMIT 1"
	savePartTimes = `INSERT OR REPLACE INTO provider_event_times
		SELECT ?1 >> 10, min(at), max(at) FROM provider_events WHERE row BETWEEN ?1 - 1023 AND ?1`

	// CROSS JOIN has SQLite read the events first.
	selectActivity = `SELECT provider_events.version, at, action, key_id, request_id, changes, provider_events.row, providers.id, customer_id, organizations.name
		FROM provider_events CROSS JOIN providers ON providers.row = record CROSS JOIN organizations ON organizations.id = organization_id
		WHERE provider_events.row >= ?1 AND provider_events.row < ?2 AND at >= ?3 AND at < ?4
			AND (?5 = '' OR key_id = ?5) AND (?6 = 0 OR organization_id = ?6) AND (?7 IS NULL OR customer_id = ?7)
		ORDER BY provider_events.row DESC LIMIT ?8`
)

// Activity implements [provider.Store].
func (s *Store) Activity(ctx context.Context, q provider.ActivityQuery) (page provider.ActivityPage, err error) {
	before := int64(math.MaxInt64) // the row that ends the page
	if q.Cursor != "" {
		if before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || before < 1 {
			return page, provider.ErrInvalidCursor
		}
	}
	err = s.readPage(ctx, func(c *sqlite.Conn) error {
		a := activity{conn: c, numbers: &s.numbers, query: q, since: q.Since.UnixMilli(), until: math.MaxInt64}
		if q.Since.IsZero() {
			a.since = math.MinInt64
		}
		if !q.Until.IsZero() {
			a.until = q.Until.UnixMilli()
		}
		next, err := a.read(before)
		if err == nil && next > 0 {
			a.page.Next = strconv.FormatInt(next, 10)
		}
		page = a.page
		return err
	})
	return page, err
}

// activity reads a page.
type activity struct {
	conn         *sqlite.Conn
	numbers      *propertyNumbers
	query        provider.ActivityQuery
	since, until int64
	page         provider.ActivityPage
}

// read reads the events before a row, and returns the row that the next page ends before; 0 if there is none.
func (a *activity) read(before int64) (next int64, _ error) {
	last, err := number(a.conn, selectLast)
	if err != nil {
		return 0, err
	}
	newest := last >> partBits // whose times are not written yet, or were before rows of it were removed
	part := newest
	if before <= last {
		part = (before - 1) >> partBits
	}
	for n := 0; ; n++ {
		if part < newest || n > 0 {
			if part, err = number(a.conn, selectPart, part+1, a.since, a.until); err != nil || part < 0 {
				return 0, err
			}
		}
		if n == maxPartsRead {
			return (part + 1) << partBits, nil
		}
		next, err := a.readPart(part<<partBits, min(before, (part+1)<<partBits))
		if err != nil || len(a.page.Events) == a.query.Limit {
			return next, err
		}
		part--
	}
}

// readPart reads events of rows up to one, and returns the row of the last.
func (a *activity) readPart(from, before int64) (row int64, _ error) {
	var customer any
	if a.query.CustomerID != nil {
		customer = a.query.CustomerID[:]
	}
	arguments := []any{from, before, a.since, a.until, a.query.KeyID, a.query.Organization, customer, a.query.Limit - len(a.page.Events)}
	err := sqlitex.Execute(a.conn, selectActivity, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
		var event provider.ActivityEvent
		from := scanner{statement: s, read: 6}
		row = from.int64()
		id := from.uuid()
		event.CustomerID, event.Organization = from.uuid(), s.ColumnText(from.next())
		var err error
		event.Event, err = scanEvent(a.conn, s, id, a.numbers)
		a.page.Events = append(a.page.Events, event)
		return err
	}})
	return row, err
}

// savePart writes the times of a part once its last event is saved.
func savePart(c *sqlite.Conn, row int64) error {
	if row&(1<<partBits-1) != 1<<partBits-1 {
		return nil
	}
	return execute(c, savePartTimes, row)
}
