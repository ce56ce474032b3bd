package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ provider.Store = (*Store)(nil)

// Write implements [provider.Store].
func (s *Store) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	return s.writes.Write(ctx, w)
}

// runWrites is the transaction of a batch.
func (s *Store) runWrites(calls []provider.Write) ([]writes.Result, error) {
	results := make([]writes.Result, len(calls))
	err := s.write(context.Background(), func(c *sqlite.Conn) error {
		now := s.now()
		for i := range calls {
			next, err := runWrite(c, &calls[i], now)
			if err != nil && provider.CodeOf(err) == "" {
				return err
			}
			results[i] = writes.Result{Value: next, Err: err}
		}
		return nil
	})
	return results, err
}

func runWrite(c *sqlite.Conn, w *provider.Write, now time.Time) (provider.Provider, error) {
	current, err := load(c, w.Organization, w.ID)
	if err != nil {
		return provider.Provider{}, err
	}
	next, event, err := w.Apply(current.provider(), now)
	if err != nil || event == nil {
		return next, err
	}
	if current == nil || next.CustomerID != current.CustomerID {
		known, err := customerExists(c, w.Organization, next.CustomerID)
		if err != nil {
			return next, err
		}
		if !known {
			return next, w.NoCustomer()
		}
	}
	return next, save(c, w.Organization, current, &next, event)
}

// Get implements [provider.Store].
func (s *Store) Get(ctx context.Context, organization int64, customer, id uuid.UUID) (record provider.Provider, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		found, err := find(c, organization, customer, id)
		if err == nil {
			record = found.Provider
		}
		return err
	})
	return record, err
}

// List implements [provider.Store].
func (s *Store) List(ctx context.Context, l provider.List) (records []provider.Provider, err error) {
	err = s.readPage(ctx, func(c *sqlite.Conn) error {
		known, err := customerExists(c, l.Organization, l.CustomerID)
		if err != nil {
			return err
		}
		if !known { // and never will be removed
			return provider.ErrNoCustomer
		}
		if len(l.Filters) == 0 {
			records, err = listBranch(c, nil, &l)
			return err
		}
		return inSnapshot(c, func() error {
			records, err = list(c, l)
			return err
		})
	})
	return records, err
}

// list reads a page of a list with filters: that of each branch, and of those the first records.
func list(c *sqlite.Conn, l provider.List) (records []provider.Provider, _ error) {
	branches, err := schema.Branches(l.Filters, func(id property.ID) ([]property.Value, error) { return valuesOf(c, &l, id) })
	if err != nil {
		return nil, err
	}
	if branches == nil {
		return listBranch(c, nil, &l)
	}
	for _, l.Filters = range branches {
		if records, err = listBranch(c, records, &l); err != nil {
			return nil, err
		}
	}
	if len(branches) > 1 {
		slices.SortFunc(records, func(a, b provider.Provider) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(b.ID[:], a.ID[:]))
		})
	}
	return records[:min(l.Limit, len(records))], nil
}

// listBranch appends a page to records.
func listBranch(c *sqlite.Conn, records []provider.Provider, l *provider.List) ([]provider.Provider, error) {
	statement, err := c.Prepare(selectList(l.Filters))
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	after, id := int64(math.MaxInt64), uuid.Max
	if l.After != nil {
		after, id = l.After.CreatedAt.UnixMilli(), l.After.ID
	}
	b := binder{statement: statement}
	for i := range l.Filters {
		if !l.Filters[i].Value.IsNull() {
			b.value(l.Filters[i].Value)
		}
	}
	b.int64(l.Organization)
	b.uuid(l.CustomerID)
	b.int64(after)
	b.uuid(id)
	b.int64(int64(l.Limit))
	for {
		found, err := statement.Step()
		if err != nil || !found {
			return records, err
		}
		records = append(records, provider.Provider{})
		row := scanner{statement: statement}
		row.provider(&records[len(records)-1])
	}
}

// valuesOf returns the values that a customer's records have of the text in the index providers_by_filter. It looks for the next one in
// the index, again and again.
func valuesOf(c *sqlite.Conn, l *provider.List, id property.ID) (values []property.Value, _ error) {
	last := ""
	for {
		found := false
		err := sqlitex.Execute(c, selectNextValue(id), &sqlitex.ExecOptions{Args: []any{l.Organization, l.CustomerID[:], last}, ResultFunc: func(s *sqlite.Stmt) error {
			last, found = s.ColumnText(0), true
			return nil
		}})
		if err != nil || !found {
			return values, err
		}
		values = append(values, property.Text(last))
	}
}

// Import implements [provider.Store]. While another process writes, such as a server, it takes several transactions, with pauses.
func (s *Store) Import(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) (count provider.ImportCount, _ error) {
	for {
		shared, err := s.letOthersWrite()
		if err != nil {
			return count, err
		}
		part := imports
		if shared {
			part = imports[:min(len(imports), sharedImports)]
		}
		imported, err := s.importPart(ctx, organization, part, customers)
		if err != nil {
			return count, err
		}
		count, imports, customers = count.Plus(imported), imports[len(part):], nil
		if shared {
			s.checks.wait(len(part))
		}
		if len(imports) == 0 {
			return count, nil
		}
	}
}

// importPart imports in one transaction.
func (s *Store) importPart(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) (count provider.ImportCount, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		count = provider.ImportCount{}
		now := s.now()
		known := make(map[uuid.UUID]bool)
		for _, customer := range customers {
			if err := ensureCustomer(c, organization, customer, known); err != nil {
				return err
			}
		}
		for i := range imports {
			if err := ensureCustomer(c, organization, *imports[i].Patch.CustomerID, known); err != nil {
				return err
			}
			current, err := load(c, organization, imports[i].ID)
			if err != nil {
				return err
			}
			next, event := imports[i].Apply(current.provider(), now)
			count.Add(event)
			if event == nil {
				continue
			}
			if err := save(c, organization, current, &next, event); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return provider.ImportCount{}, err
	}
	return count, nil
}

// ensureCustomer creates a customer unless it exists, and adds it to known.
func ensureCustomer(c *sqlite.Conn, organization int64, customer uuid.UUID, known map[uuid.UUID]bool) error {
	if known[customer] {
		return nil
	}
	known[customer] = true
	return execute(c, insertCustomer, organization, customer[:])
}

const (
	insertCustomer = "INSERT INTO customers (organization_id, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
	selectCustomer = "SELECT 1 FROM customers WHERE organization_id = ?1 AND id = ?2"
)

// Each property has a column, in the order of property.Table, after those that every record has.
var (
	columns = "providers.id, providers.customer_id, version, created_at, updated_at, deleted, " + values // in the order of scan
	written = "version, updated_at, last_event, " + strings.Join(filterColumns(false), ", ")             // in the order of bind
	created = "organization_id, id, customer_id, created_at, deleted, " + written + ", " + strings.Join(filterColumns(true), ", ")
	values  = strings.Join(schema.Columns(), ", ")

	selectProvider = "SELECT " + columns + ", row, last_event FROM providers WHERE organization_id = ? AND id = ?"
	insertProvider = "INSERT INTO providers (" + created + ") VALUES (" + parameters(created) + ")"
	updateProvider = update(written)

	// SQLite writes an index whenever one of its columns is set, even to the value that it has.
	updateFilters = update(strings.Join(filterColumns(true), ", "))

	deleteProvider = "DELETE FROM providers WHERE row = ?"

	// Unlike updateProvider, it has SQLite look up the customer and write the index.
	moveProvider = "UPDATE providers SET created_at = ?, deleted = 0, customer_id = ? WHERE row = ?"
)

// filterColumns returns the columns of the properties that are in the index providers_by_filter, or of those that are not.
func filterColumns(in bool) (columns []string) {
	for id, column := range schema.Columns() {
		if schema.InFilterIndex[id] == in {
			columns = append(columns, column)
		}
	}
	return columns
}

func update(columns string) string {
	return "UPDATE providers SET (" + columns + ") = (" + parameters(columns) + ") WHERE row = ?"
}

// parameters returns a parameter for each of the columns.
func parameters(columns string) string {
	return "?" + strings.Repeat(", ?", strings.Count(columns, ","))
}

// selectList returns the statement of a list with these filters.
func selectList(filters []property.Filter) string {
	conditions := ""
	for _, f := range filters {
		condition := " = ? AND "
		if f.Value.IsNull() {
			condition = " IS NULL AND "
		}
		conditions += quotedColumn(f.Property) + condition
	}
	return "SELECT " + columns + " FROM providers WHERE " + conditions + `organization_id = ? AND customer_id = ? AND deleted = 0
		AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`
}

// selectNextValue returns the statement that finds the next value of a text that a customer's records have.
func selectNextValue(id property.ID) string {
	column := quotedColumn(id)
	return "SELECT " + column + " FROM providers WHERE organization_id = ?1 AND customer_id = ?2 AND deleted = 0 AND " + column + " > ?3 ORDER BY " + column + " LIMIT 1"
}

func quotedColumn(id property.ID) string { return schema.Quote(schema.Column(&property.Table[id])) }

// row is a provider as the file has it.
type row struct {
	provider.Provider
	rowID     int64
	lastEvent int64
}

// provider returns the record, nil if there is no row.
func (r *row) provider() *provider.Provider {
	if r == nil {
		return nil
	}
	return &r.Provider
}

// load returns the row of an ID, deleted or not; nil if there is none.
func load(c *sqlite.Conn, organization int64, id uuid.UUID) (*row, error) {
	statement, err := c.Prepare(selectProvider)
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	b := binder{statement: statement}
	b.int64(organization)
	b.uuid(id)
	found, err := statement.Step()
	if err != nil || !found {
		return nil, err
	}
	r, from := new(row), scanner{statement: statement}
	from.provider(&r.Provider)
	r.rowID = from.int64()
	r.lastEvent = from.int64()
	return r, nil
}

// find returns the record that a customer has under an ID.
func find(c *sqlite.Conn, organization int64, customer, id uuid.UUID) (*row, error) {
	r, err := load(c, organization, id)
	if err == nil && (r == nil || r.Deleted || r.CustomerID != customer) {
		err = provider.ErrNotFound
	}
	return r, err
}

// save writes what Apply decided, the record and its event. current is nil for a new record.
func save(c *sqlite.Conn, organization int64, current *row, next *provider.Provider, event *provider.Event) error {
	lastEvent, err := saveEvent(c, organization, current, event)
	if err != nil {
		return err
	}
	if current != nil && next.Deleted { // also the values of columns that a newer program has added
		if err := execute(c, deleteProvider, current.rowID); err != nil {
			return err
		}
	}
	if current == nil || next.Deleted {
		statement, err := c.Prepare(insertProvider)
		if err != nil {
			return err
		}
		b := binder{statement: statement}
		b.int64(organization)
		b.uuid(next.ID)
		b.uuid(next.CustomerID)
		b.int64(next.CreatedAt.UnixMilli())
		b.bool(next.Deleted)
		b.provider(next, lastEvent)
		b.filters(next)
		return run(statement)
	}
	statement, err := c.Prepare(updateProvider)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.provider(next, lastEvent)
	b.int64(current.rowID)
	if err := run(statement); err != nil {
		return err
	}
	if err := saveFilters(c, current, next); err != nil {
		return err
	}
	if next.CreatedAt.Equal(current.CreatedAt) && !current.Deleted && next.CustomerID == current.CustomerID {
		return nil
	}
	return execute(c, moveProvider, next.CreatedAt.UnixMilli(), next.CustomerID[:], current.rowID)
}

// saveFilters writes the properties of the index providers_by_filter if one of them has changed.
func saveFilters(c *sqlite.Conn, current *row, next *provider.Provider) error {
	changed := false
	for id := range next.Values {
		changed = changed || schema.InFilterIndex[id] && next.Values[id] != current.Values[id]
	}
	if !changed {
		return nil
	}
	statement, err := c.Prepare(updateFilters)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.filters(next)
	b.int64(current.rowID)
	return run(statement)
}

// customerExists reports whether the organization has the customer.
func customerExists(c *sqlite.Conn, organization int64, customer uuid.UUID) (bool, error) {
	statement, err := c.Prepare(selectCustomer)
	if err != nil {
		return false, err
	}
	defer statement.Reset()
	statement.BindInt64(1, organization)
	statement.BindBytes(2, customer[:])
	return statement.Step()
}

// run steps a statement that returns no rows, and resets it.
func run(statement *sqlite.Stmt) error {
	_, err := statement.Step()
	return errors.Join(err, statement.Reset())
}

// binder binds the parameters of a statement, one after the other.
type binder struct {
	statement *sqlite.Stmt
	bound     int
}

func (b *binder) next() int {
	b.bound++
	return b.bound
}

func (b *binder) int64(v int64)     { b.statement.BindInt64(b.next(), v) }
func (b *binder) uuid(id uuid.UUID) { b.statement.BindBytes(b.next(), id[:]) }
func (b *binder) bytes(v []byte)    { b.statement.BindBytes(b.next(), v) }
func (b *binder) bool(v bool)       { b.statement.BindBool(b.next(), v) }

func (b *binder) value(value property.Value) {
	if text, ok := value.Text(); ok {
		b.statement.BindText(b.next(), text)
	} else if flag, ok := value.Boolean(); ok {
		b.bool(flag)
	} else {
		b.statement.BindNull(b.next())
	}
}

// provider binds the columns that every write of a record sets. Those of filters come after them, if at all.
func (b *binder) provider(r *provider.Provider, lastEvent int64) {
	b.int64(r.Version)
	b.int64(r.UpdatedAt.UnixMilli())
	b.int64(lastEvent)
	for p := range r.Values {
		if !schema.InFilterIndex[p] {
			b.value(r.Values[p])
		}
	}
}

// filters binds the properties of the index providers_by_filter.
func (b *binder) filters(r *provider.Provider) {
	for p := range r.Values {
		if schema.InFilterIndex[p] {
			b.value(r.Values[p])
		}
	}
}

// scanner reads the columns of a row, one after the other.
type scanner struct {
	statement *sqlite.Stmt
	read      int
}

func (s *scanner) next() int {
	s.read++
	return s.read - 1
}

func (s *scanner) int64() int64    { return s.statement.ColumnInt64(s.next()) }
func (s *scanner) time() time.Time { return time.UnixMilli(s.int64()).UTC() }

func (s *scanner) uuid() (id uuid.UUID) {
	s.statement.ColumnBytes(s.next(), id[:])
	return id
}

// provider reads the columns of a record.
func (s *scanner) provider(r *provider.Provider) {
	r.ID, r.CustomerID, r.Version = s.uuid(), s.uuid(), s.int64()
	r.CreatedAt, r.UpdatedAt = s.time(), s.time()
	r.Deleted = s.int64() != 0
	for p := range r.Values {
		switch column := s.next(); {
		case s.statement.ColumnIsNull(column):
			r.Values[p] = property.Null
		case property.Table[p].Kind == property.BooleanKind:
			r.Values[p] = property.Boolean(s.statement.ColumnBool(column))
		default:
			r.Values[p] = property.Text(s.statement.ColumnText(column))
		}
	}
}

// EnsureOrganization implements [provider.Store].
func (s *Store) EnsureOrganization(ctx context.Context, name string) (number int64, created bool, err error) {
	err = s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, "INSERT INTO organizations (name) VALUES (?1) ON CONFLICT DO NOTHING", name); err != nil {
			return err
		}
		created = c.Changes() > 0
		number, err = findOrganization(c, name)
		return err
	})
	return number, created, err
}

// FindOrganization implements [provider.Store].
func (s *Store) FindOrganization(ctx context.Context, name string) (number int64, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		number, err = findOrganization(c, name)
		return err
	})
	return number, err
}

// findOrganization returns the number of the organization of that name, 0 if there is none.
func findOrganization(c *sqlite.Conn, name string) (number int64, err error) {
	err = sqlitex.Execute(c, "SELECT id FROM organizations WHERE name = ?1", &sqlitex.ExecOptions{
		Args:       []any{name},
		ResultFunc: func(s *sqlite.Stmt) error { number = s.ColumnInt64(0); return nil },
	})
	return number, err
}
