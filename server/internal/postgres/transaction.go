package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// transaction is a transaction on the records of some organizations, in the order of their numbers.
type transaction struct {
	numbers       *numbers
	organizations []*records
	skipLocked    bool          // do not wait for rows that other sessions have locked
	lockTimeout   time.Duration // for each of those rows otherwise; 0 means the session's
	deletes       bool          // a record
	columns       []tableColumn // of the table, if it deletes
	clock         func() time.Time
	now           time.Time // after the locks; of the database's clock unless clock is set
}

// records are those of one organization that a transaction locks and reads, and then writes.
type records struct {
	organization int64
	wanted       map[uuid.UUID]*entry
	events       []*provider.Event  // of the changes
	created      map[uuid.UUID]bool // customers that are created unless they exist; whether they were purged
	customers    map[uuid.UUID]bool // whether they exist: those that records may be created for or move to
	locked       map[uuid.UUID]bool // records and customers that exist, but were skipped
	creations    creations          // with idempotency keys
	purged       []provider.RecordVersion
}

// entry is the state of an ID.
type entry struct {
	current *provider.Provider // nil if there is none
	exists  bool               // a record is expected, as the write is not its creation
	changed bool               // current is to be saved
}

func (t *transaction) of(organization int64) *records {
	i, found := slices.BinarySearchFunc(t.organizations, organization, func(r *records, organization int64) int {
		return cmp.Compare(r.organization, organization)
	})
	if !found {
		t.organizations = slices.Insert(t.organizations, i, &records{
			organization: organization,
			wanted:       map[uuid.UUID]*entry{},
			created:      map[uuid.UUID]bool{},
			customers:    map[uuid.UUID]bool{},
			locked:       map[uuid.UUID]bool{},
		})
	}
	return t.organizations[i]
}

func (r *records) want(id uuid.UUID) {
	if r.wanted[id] == nil {
		r.wanted[id] = new(entry)
	}
}

// wantFor wants the rows that a write depends on.
func (r *records) wantFor(w *provider.Write) {
	r.want(w.ID)
	r.wanted[w.ID].exists = r.wanted[w.ID].exists || w.Action != provider.Created
	if customer, needed := customerOf(w); needed {
		r.customers[customer] = false
	}
	if w.Idempotency != nil {
		r.creations.want(w.Idempotency.Key)
	}
}

// customerOf returns the customer that must exist for a write: one to create a record for, or to move it to.
func customerOf(w *provider.Write) (customer uuid.UUID, needed bool) {
	if w.Action == provider.Created {
		return w.CustomerID, true
	}
	if to := w.Patch.CustomerID; to != nil && *to != w.CustomerID {
		return *to, true
	}
	return uuid.UUID{}, false
}

// errLocked is the error of a write to a row that another session has locked.
var errLocked = errors.New("postgres: another session has locked the row")

// apply applies a write to the records that begin has read.
func (r *records) apply(w *provider.Write, now time.Time) (provider.Provider, error) {
	if w.Idempotency != nil {
		if next, repeats, err := r.creations.repeat(w, now); err != nil || repeats {
			return next, err
		}
	}
	current := r.wanted[w.ID].current
	if r.locked[w.ID] {
		return provider.Provider{}, errLocked
	}
	next, event, err := w.Apply(current, now)
	if err != nil {
		return next, err
	}
	if moved := current == nil || next.CustomerID != current.CustomerID; moved && !r.customers[next.CustomerID] {
		if r.locked[next.CustomerID] {
			return next, errLocked
		}
		return next, w.NoCustomer()
	}
	r.change(next, event)
	if w.Idempotency != nil {
		r.creations.add(w, event)
	}
	return next, nil
}

// change puts a record in its new state, for commit to save. Without an event there is no change.
func (r *records) change(next provider.Provider, event *provider.Event) {
	if event != nil {
		*r.wanted[next.ID] = entry{current: &next, changed: true}
		r.events = append(r.events, event)
	}
}

// begin begins the transaction, locks the wanted rows and reads the records: one round trip. If it skips locked rows and some are
// missing, it needs another one to find out whether they exist.
func (t *transaction) begin(ctx context.Context, c *pgx.Conn) error {
	lockProviders, lockCustomers := lockProviders, lockCustomers
	if t.skipLocked {
		lockProviders, lockCustomers = lockFreeProviders, lockFreeCustomers
	}
	b := new(pgx.Batch)
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED") // the locks do the rest
	if t.lockTimeout > 0 {
		b.Queue("SELECT set_config('lock_timeout', $1, true)", milliseconds(t.lockTimeout))
	}
	for _, r := range t.organizations {
		if len(r.created) > 0 {
			b.Queue(insertCustomers, r.organization, inOrder(r.created))
			b.Queue(lockCustomers, r.organization, inOrder(r.created))
			b.Queue(selectPurged, r.organization, inOrder(r.created)).Query(r.scanCreated)
		}
		if len(r.wanted) > 0 {
			b.Queue(lockProviders, r.organization, inOrder(r.wanted)).Query(r.scanProviders)
		}
		if len(r.customers) > 0 {
			b.Queue(lockCustomers, r.organization, inOrder(r.customers)).Query(r.scanCustomers)
			b.Queue(selectPurged, r.organization, inOrder(r.customers)).Query(r.scanPurged)
		}
		r.queueCreations(b)
	}
	if !t.numbers.complete.Load() { // another server may have given some since
		b.Queue(selectNumbers).Query(t.numbers.scan)
	}
	b.Queue("SELECT clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(&t.now) }) // after the locks
	if t.deletes {                                                                                    // after the locks, so that nobody adds or drops a column until the end
		b.Queue(selectColumns).Query(into(&t.columns, pgx.RowToStructByPos[tableColumn]))
	}
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if t.clock != nil {
		t.now = t.clock()
	}
	if !t.skipLocked {
		return nil
	}
	return t.findLocked(ctx, c)
}

// findLocked finds out which of the rows that begin did not get exist.
func (t *transaction) findLocked(ctx context.Context, c *pgx.Conn) error {
	b := new(pgx.Batch)
	for _, r := range t.organizations {
		records, customers := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
		for id, one := range r.wanted {
			if one.exists && one.current == nil {
				records[id] = true
			}
		}
		for id, found := range r.customers {
			if !found {
				customers[id] = true
			}
		}
		if len(records) > 0 {
			b.Queue(selectProviderIDs, r.organization, inOrder(records)).Query(r.scanLocked)
		}
		if len(customers) > 0 {
			b.Queue(selectCustomerIDs, r.organization, inOrder(customers)).Query(r.scanLocked)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return c.SendBatch(ctx, b).Close()
}

// commit saves the changed records and their events, and commits: one round trip. A transaction that has nothing to save is rolled back, as a
// commit would wait for the disk because of the locks.
func (t *transaction) commit(ctx context.Context, c *pgx.Conn) error {
	b, clear, numbers := new(pgx.Batch), clearOthers(t.columns), t.numbers.Load()
	for _, r := range t.organizations {
		r.openPurged(b)
		if len(r.events) == 0 && len(r.purged) == 0 {
			continue
		}
		events, err := r.appending(numbers)
		if err != nil {
			return err
		}
		b.Queue(saveProviders, r.saving()...)
		for id, one := range r.wanted {
			if clear != "" && one.changed && one.current.Deleted {
				b.Queue(clear, r.organization, [16]byte(id))
			}
		}
		b.Queue(insertEvents, events...)
		r.savePurged(b)
		r.saveCreations(b)
	}
	t.removeExpired(b)
	if b.Len() == 0 && !t.createsCustomers() {
		_, err := c.Exec(ctx, "ROLLBACK")
		return err
	}
	b.Queue("COMMIT")
	return toCommitError(c, c.SendBatch(ctx, b).Close())
}

// createsCustomers reports whether begin has created customers.
func (t *transaction) createsCustomers() bool {
	return slices.ContainsFunc(t.organizations, func(r *records) bool { return len(r.created) > 0 })
}

// inOrder returns the keys of a map in the order in which all transactions lock and create them.
func inOrder[V any](m map[uuid.UUID]V) [][16]byte {
	ids := make([][16]byte, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// In these statements the inner query leaves the planner no choice but to look for one key after another, in the order given;
// id = ANY makes it read all of an organization if it was planned when there was little to read.
var (
	lockProviders     = forEachID(columns, "providers", "FOR UPDATE")
	lockFreeProviders = forEachID(columns, "providers", "FOR UPDATE SKIP LOCKED")
	lockCustomers     = forEachID("id", "customers", "FOR KEY SHARE")
	lockFreeCustomers = forEachID("id", "customers", "FOR KEY SHARE SKIP LOCKED")
	selectPurged      = forEachID("id", "purged_customers", "LIMIT 1") // once they are locked: the statement that locks may not see what it has waited for
	selectProviderIDs = forEachID("id", "providers", "LIMIT 1")
	selectCustomerIDs = forEachID("id", "customers", "AND "+isOpen("wanted.id")+" LIMIT 1")
)

// isOpen returns the condition that a customer of the organization $1 was not purged. In this form it is looked for by its key.
func isOpen(id string) string {
	return "(SELECT true FROM purged_customers AS purged WHERE purged.organization_id = $1 AND purged.id = " + id + " LIMIT 1) IS NULL"
}

func forEachID(columns, table, suffix string) string {
	return "SELECT found.* FROM unnest($2::uuid[]) AS wanted (id) CROSS JOIN LATERAL (SELECT " + columns + " FROM " + table +
		" WHERE organization_id = $1 AND id = wanted.id " + suffix + ") AS found"
}

// saveProviders finds a record by its key or creates it, in one statement. UPDATE … FROM has to join, and how depends on
// what the planner believes of the table. Arrays that are unnested next to each other are read in step; in FROM they would
// be copied first.
var saveProviders = func() string {
	types := []string{"uuid", "uuid", "bigint", "timestamptz", "timestamptz", "boolean"} // of the fixed columns
	for p := range property.Table {
		types = append(types, schema.PostgreSQL.Type(&property.Table[p]))
	}
	arrays := []string{"$1::bigint"}
	for i, kind := range types {
		arrays = append(arrays, fmt.Sprintf("unnest($%d::%s[])", i+2, kind))
	}
	var changes []string
	for _, column := range strings.Split(columns, ", ")[1:] {
		changes = append(changes, column+" = excluded."+column)
	}
	return "INSERT INTO providers (organization_id, " + columns + ") SELECT " + strings.Join(arrays, ", ") +
		" ON CONFLICT (organization_id, id) DO UPDATE SET " + strings.Join(changes, ", ")
}()

const (
	insertCustomers = "INSERT INTO customers (organization_id, id) SELECT $1::bigint, unnest($2::uuid[]) ON CONFLICT DO NOTHING"
	// A version is in the history once: of two transactions that create the same record, the later one fails here.
	insertEvents = `INSERT INTO provider_events (organization_id, provider_id, version, at, action, key_id, request_id, changes)
		SELECT $1::bigint, unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::timestamptz[]), unnest($5::text[]), unnest($6::text[]),
			unnest($7::text[]), unnest($8::text[])`
)

// The scans leave the rows' own error to pgx, which looks at it.

func (r *records) scanProviders(rows pgx.Rows) error {
	for rows.Next() {
		p := new(provider.Provider)
		if err := scan(rows, p); err != nil {
			return err
		}
		r.wanted[p.ID].current = p
	}
	return nil
}

func (r *records) scanCustomers(rows pgx.Rows) error { return scanIDs(rows, r.customers, true) }

func (r *records) scanPurged(rows pgx.Rows) error { return scanIDs(rows, r.customers, false) }

func (r *records) scanCreated(rows pgx.Rows) error { return scanIDs(rows, r.created, true) }

func (r *records) scanLocked(rows pgx.Rows) error { return scanIDs(rows, r.locked, true) }

func scanIDs(rows pgx.Rows, found map[uuid.UUID]bool, value bool) error {
	for rows.Next() {
		var id [16]byte
		if err := rows.Scan(&id); err != nil {
			return err
		}
		found[id] = value
	}
	return nil
}

// saving returns the arguments of saveProviders: an array for each column.
func (r *records) saving() []any {
	var changed []*provider.Provider
	for _, id := range inOrder(r.wanted) {
		if one := r.wanted[id]; one.changed {
			changed = append(changed, one.current)
		}
	}
	arguments := []any{
		r.organization,
		column(changed, func(p *provider.Provider) [16]byte { return p.ID }),
		column(changed, func(p *provider.Provider) [16]byte { return p.CustomerID }),
		column(changed, func(p *provider.Provider) int64 { return p.Version }),
		column(changed, func(p *provider.Provider) time.Time { return p.CreatedAt }),
		column(changed, func(p *provider.Provider) time.Time { return p.UpdatedAt }),
		column(changed, func(p *provider.Provider) bool { return p.Deleted }),
	}
	for p := range property.Table {
		if property.Table[p].Kind == property.BooleanKind {
			arguments = append(arguments, column(changed, func(r *provider.Provider) pgtype.Bool {
				flag, ok := r.Values[p].Boolean()
				return pgtype.Bool{Bool: flag, Valid: ok}
			}))
		} else {
			arguments = append(arguments, column(changed, func(r *provider.Provider) pgtype.Text {
				text, ok := r.Values[p].Text()
				return pgtype.Text{String: text, Valid: ok}
			}))
		}
	}
	return arguments
}

// appending returns the arguments of insertEvents: an array for each column.
func (r *records) appending(numbers *wire.Numbers) ([]any, error) {
	actions, requests, changes := make([]string, len(r.events)), make([]string, len(r.events)), make([]string, len(r.events))
	var text []byte // used again for each
	for i, event := range r.events {
		stored, err := numbers.Store(text[:0], event)
		if err != nil {
			return nil, err
		}
		text = stored.Changes
		actions[i], requests[i], changes[i] = stored.Action, stored.RequestID, string(text)
	}
	return []any{
		r.organization,
		column(r.events, func(e *provider.Event) [16]byte { return e.ProviderID }),
		column(r.events, func(e *provider.Event) int64 { return e.Version }),
		column(r.events, func(e *provider.Event) time.Time { return e.At }),
		actions,
		column(r.events, func(e *provider.Event) string { return e.By.KeyID }),
		requests,
		changes,
	}, nil
}

// column takes one value from each row. Its type spares the driver a look at every value's.
func column[R, T any](rows []R, value func(R) T) pgtype.FlatArray[T] {
	values := make(pgtype.FlatArray[T], len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}
