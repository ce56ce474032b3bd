package sqlite

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ provider.Store = (*Store)(nil)

// Write is provider.Store's.
func (s *Store) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	return s.writes.Write(ctx, w)
}

// runWrites is the transaction of a batch.
func (s *Store) runWrites(calls []provider.Write) ([]batch.Result[provider.Provider], error) {
	results := make([]batch.Result[provider.Provider], len(calls))
	err := s.write(context.Background(), func(c *sqlite.Conn) error {
		now := s.now()
		for i := range calls {
			next, err := runWrite(c, &calls[i], now)
			var refused *provider.Error
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			results[i] = batch.Result[provider.Provider]{Value: next, Err: err}
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
		known, err := exists(c, w.Organization, next.CustomerID)
		if err != nil {
			return next, err
		}
		if !known {
			return next, w.NoCustomer()
		}
	}
	return next, save(c, w.Organization, current, &next, event)
}

// Get is provider.Store's.
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

// List is provider.Store's. Its two statements need no transaction: a customer who is known stays known.
func (s *Store) List(ctx context.Context, l provider.List) (records []provider.Provider, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		known, err := exists(c, l.Organization, l.CustomerID)
		if err != nil {
			return err
		}
		if !known {
			return provider.ErrNoCustomer
		}
		records, err = list(c, &l)
		return err
	})
	return records, err
}

func list(c *sqlite.Conn, l *provider.List) ([]provider.Provider, error) {
	statement, err := c.Prepare(selectList(l.Filters))
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	statement.BindInt64(1, l.Organization)
	statement.BindBytes(2, l.CustomerID[:])
	after, id := int64(math.MaxInt64), uuid.Max
	if l.After != nil {
		after, id = l.After.CreatedAt.UnixMilli(), l.After.ID
	}
	statement.BindInt64(3, after)
	statement.BindBytes(4, id[:])
	statement.BindInt64(5, int64(l.Limit))
	for i := range l.Filters {
		bindValue(statement, firstFilter+i, l.Filters[i].Value)
	}
	var records []provider.Provider
	for {
		found, err := statement.Step()
		if err != nil || !found {
			return records, err
		}
		records = append(records, provider.Provider{})
		scan(statement, &records[len(records)-1])
	}
}

// Import is provider.Store's: one transaction.
func (s *Store) Import(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		now := s.now()
		known := make(map[uuid.UUID]bool)
		for _, customer := range customers {
			if err := makeCustomer(c, organization, customer, known); err != nil {
				return err
			}
		}
		for i := range imports {
			if err := makeCustomer(c, organization, *imports[i].Patch.CustomerID, known); err != nil {
				return err
			}
			current, err := load(c, organization, imports[i].ID)
			if err != nil {
				return err
			}
			next, event := imports[i].Apply(current.provider(), now)
			if event == nil {
				continue
			}
			if err := save(c, organization, current, &next, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeCustomer makes a customer known, and adds it to those of whom that is sure.
func makeCustomer(c *sqlite.Conn, organization int64, customer uuid.UUID, known map[uuid.UUID]bool) error {
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

// The statements below have a column for each property, in the order of property.Table, after those that every record
// has.
var (
	values = strings.Join(property.Columns(), ", ")

	// columns are those that scan takes, in its order.
	columns     = "providers.id, providers.customer_id, version, created_at, updated_at, deleted, " + values
	firstValue  = 6
	afterValues = firstValue + len(property.Table) // the first of the columns that a statement adds

	selectProvider = "SELECT " + columns + ", row, last_event FROM providers WHERE organization_id = ?1 AND id = ?2"

	// Both take the parameters of bind, from version on. An update leaves alone what moveProvider writes.
	insertProvider = "INSERT INTO providers (organization_id, id, customer_id, created_at, deleted, version, updated_at, last_event, " + values + `)
		VALUES (?1, ?2, ?3, ?4, 0, ` + parameters(5, 3+len(property.Table)) + ")"
	updateProvider = "UPDATE providers SET (version, updated_at, last_event, " + values + ") = (" + parameters(2, 3+len(property.Table)) + ") WHERE row = ?1"

	moveProvider = "UPDATE providers SET created_at = ?1, deleted = ?2, customer_id = ?3 WHERE row = ?4" // apart, because it has SQLite look for the customer and write the index
)

// parameters returns n parameters, of which the first has that number.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "?" + strconv.Itoa(first+i)
	}
	return strings.Join(list, ", ")
}

// selectList returns the statement of a list with these filters.
func selectList(filters []property.Filter) string {
	statement := selectListStart
	for i, f := range filters {
		statement += " AND " + property.Table[f.Property].Column() + " = ?" + strconv.Itoa(firstFilter+i)
	}
	return statement + selectListEnd
}

const firstFilter = 6 // the parameter of the first filter

var (
	selectListStart = "SELECT " + columns + " FROM providers WHERE organization_id = ?1 AND customer_id = ?2 AND deleted = 0 AND (created_at, id) < (?3, ?4)"
	selectListEnd   = " ORDER BY created_at DESC, id DESC LIMIT ?5"
)

// row is a provider as the file has it.
type row struct {
	provider.Provider
	row       int64
	lastEvent int64
}

// provider returns the record, nil if there is no row.
func (r *row) provider() *provider.Provider {
	if r == nil {
		return nil
	}
	return &r.Provider
}

// load returns what there is under an ID, deleted or not; nil if nothing.
func load(c *sqlite.Conn, organization int64, id uuid.UUID) (*row, error) {
	statement, err := c.Prepare(selectProvider)
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	statement.BindInt64(1, organization)
	statement.BindBytes(2, id[:])
	found, err := statement.Step()
	if err != nil || !found {
		return nil, err
	}
	r := row{row: statement.ColumnInt64(afterValues), lastEvent: statement.ColumnInt64(afterValues + 1)}
	scan(statement, &r.Provider)
	return &r, nil
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
	lastEvent, err := saveEvent(c, current, event)
	if err != nil {
		return err
	}
	if current == nil {
		statement, err := c.Prepare(insertProvider)
		if err != nil {
			return err
		}
		statement.BindInt64(1, organization)
		statement.BindBytes(2, next.ID[:])
		statement.BindBytes(3, next.CustomerID[:])
		statement.BindInt64(4, next.CreatedAt.UnixMilli())
		bind(statement, 5, next, lastEvent)
		return run(statement)
	}
	statement, err := c.Prepare(updateProvider)
	if err != nil {
		return err
	}
	statement.BindInt64(1, current.row)
	bind(statement, 2, next, lastEvent)
	if err := run(statement); err != nil {
		return err
	}
	if next.CreatedAt.Equal(current.CreatedAt) && next.Deleted == current.Deleted && next.CustomerID == current.CustomerID {
		return nil
	}
	return execute(c, moveProvider, next.CreatedAt.UnixMilli(), next.Deleted, next.CustomerID[:], current.row)
}

// exists reports whether the organization has the customer.
func exists(c *sqlite.Conn, organization int64, customer uuid.UUID) (bool, error) {
	statement, err := c.Prepare(selectCustomer)
	if err != nil {
		return false, err
	}
	defer statement.Reset()
	statement.BindInt64(1, organization)
	statement.BindBytes(2, customer[:])
	return statement.Step()
}

// run steps a statement that returns no rows, and readies it for its next use.
func run(statement *sqlite.Stmt) error {
	_, err := statement.Step()
	return errors.Join(err, statement.Reset())
}

// bind binds what every write of a record sets, from the parameter with the number first on.
func bind(s *sqlite.Stmt, first int, r *provider.Provider, lastEvent int64) {
	s.BindInt64(first, r.Version)
	s.BindInt64(first+1, r.UpdatedAt.UnixMilli())
	s.BindInt64(first+2, lastEvent)
	for p := range r.Values {
		bindValue(s, first+3+p, r.Values[p])
	}
}

func bindValue(s *sqlite.Stmt, parameter int, value property.Value) {
	if text, ok := value.Text(); ok {
		s.BindText(parameter, text)
	} else if flag, ok := value.Boolean(); ok {
		s.BindBool(parameter, flag)
	} else {
		s.BindNull(parameter)
	}
}

// scan reads the columns of a record.
func scan(s *sqlite.Stmt, r *provider.Provider) {
	s.ColumnBytes(0, r.ID[:])
	s.ColumnBytes(1, r.CustomerID[:])
	r.Version = s.ColumnInt64(2)
	r.CreatedAt = time.UnixMilli(s.ColumnInt64(3)).UTC()
	r.UpdatedAt = time.UnixMilli(s.ColumnInt64(4)).UTC()
	r.Deleted = s.ColumnBool(5)
	for p := range r.Values {
		switch column := firstValue + p; {
		case s.ColumnIsNull(column):
			r.Values[p] = property.Null
		case property.Table[p].Kind == property.BooleanKind:
			r.Values[p] = property.Boolean(s.ColumnBool(column))
		default:
			r.Values[p] = property.Text(s.ColumnText(column))
		}
	}
}

// Organization is provider.Store's.
func (s *Store) Organization(ctx context.Context, name string) (number int64, err error) {
	err = s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, "INSERT INTO organizations (name) VALUES (?1) ON CONFLICT DO NOTHING", name); err != nil {
			return err
		}
		number, err = organization(c, name)
		return err
	})
	return number, err
}

// organization returns the number of the organization of that name, 0 if there is none.
func organization(c *sqlite.Conn, name string) (number int64, err error) {
	err = sqlitex.Execute(c, "SELECT id FROM organizations WHERE name = ?1", &sqlitex.ExecOptions{
		Args:       []any{name},
		ResultFunc: func(s *sqlite.Stmt) error { number = s.ColumnInt64(0); return nil },
	})
	return number, err
}
