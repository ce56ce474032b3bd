package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ provider.Store = (*Store)(nil)

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
		if !known {
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

const (
	insertCustomer = "INSERT INTO customers (organization_id, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
	openCustomer   = "DELETE FROM purged_customers WHERE organization_id = ?1 AND id = ?2"
	selectCustomer = `SELECT 1 FROM customers WHERE organization_id = ?1 AND id = ?2
		AND NOT EXISTS (SELECT 1 FROM purged_customers AS purged WHERE purged.organization_id = ?1 AND purged.id = ?2)`
	selectLastRow = "SELECT coalesce(max(row), 0) FROM providers"
)

// Each property has a column, in the order of property.Table, after those that every record has.
var (
	columns = "providers.id, providers.customer_id, version, created_at, updated_at, deleted, " + values // in the order of scan
	written = "version, updated_at, last_event, " + strings.Join(filterColumns(false), ", ")             // in the order of bind
	created = "row, organization_id, id, customer_id, created_at, deleted, " + written + ", " + strings.Join(filterColumns(true), ", ")
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
