package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var _ provider.Store = (*Store)(nil)

var selectCustomer = "SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 AND " + isOpen("$2")

var (
	// columns are those of a record, in the order of scan and of saveProviders: those that every record has, and one for
	// each property.
	columns = "id, customer_id, version, created_at, updated_at, deleted, " + strings.Join(schema.Columns(), ", ")

	selectProvider = "SELECT " + columns + " FROM providers WHERE organization_id = $1 AND id = $2"
)

// selectList returns the statement of a list with these filters, and its arguments.
func selectList(l *provider.List) (string, []any) {
	after, id := pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, uuid.Max
	if l.After != nil {
		after, id = pgtype.Timestamptz{Time: l.After.CreatedAt, Valid: true}, l.After.ID
	}
	arguments := []any{l.Organization, [16]byte(l.CustomerID), after, [16]byte(id), l.Limit}
	for _, f := range l.Filters {
		if text, ok := f.Value.Text(); ok {
			arguments = append(arguments, text)
		}
	}
	const newestFirst = " ORDER BY created_at DESC, id DESC LIMIT $5"
	values := "" // a statement for those of the text that no filter is about
	branches, _ := schema.Branches(l.Filters, func(id property.ID) ([]property.Value, error) {
		values = selectValues(quotedColumn(id))
		return []property.Value{{}}, nil
	})
	switch {
	case branches == nil:
		return selectBranch(l.Filters, "NOT deleted"), arguments
	case values != "":
		return values + " SELECT found.* FROM found_values CROSS JOIN LATERAL (" + selectBranch(branches[0], present) + ") AS found" + newestFirst, arguments
	case len(branches) == 1:
		return selectBranch(branches[0], present), arguments
	}
	statements := make([]string, len(branches))
	for i, branch := range branches {
		statements[i] = selectBranch(branch, present)
	}
	return "(" + strings.Join(statements, ") UNION ALL (") + ")" + newestFirst, arguments
}

// present is the condition of the index providers_by_filter; it keeps PostgreSQL from using another one.
const present = "deleted < true"

// selectBranch returns the statement of a list with these filters. The one with an absent value is about found_values.
func selectBranch(filters []property.Filter, present string) string {
	conditions, order, parameter := "", " ORDER BY ", 5
	for _, f := range filters {
		column := quotedColumn(f.Property)
		conditions += " AND " + column
		if flag, ok := f.Value.Boolean(); ok {
			conditions += " = " + strconv.FormatBool(flag)
		} else if f.Value.IsNull() {
			conditions += " IS NULL"
			order += column + ", " // otherwise PostgreSQL does not see that the index has the order
		} else if f.Value.IsAbsent() {
			conditions += " = value"
		} else {
			parameter++
			conditions += " = $" + strconv.Itoa(parameter)
		}
	}
	return "SELECT " + columns + " FROM providers WHERE organization_id = $1 AND customer_id = $2 AND " + present + " AND (created_at, id) < ($3, $4)" +
		conditions + order + "created_at DESC, id DESC LIMIT $5"
}

// selectValues returns the start of a statement that finds the values that a customer's records have of a text. It looks for the next
// one in the index providers_by_filter, again and again.
func selectValues(column string) string {
	next := "SELECT " + column + " FROM providers WHERE organization_id = $1 AND customer_id = $2 AND " + present
	end := " ORDER BY " + column + " LIMIT 1"
	return "WITH RECURSIVE found_values (value) AS ((" + next + end + ") UNION ALL SELECT (" + next + " AND " + column + " > value" + end +
		") FROM found_values WHERE value IS NOT NULL)"
}

func quotedColumn(id property.ID) string { return schema.Quote(schema.Column(&property.Table[id])) }

// Get implements [provider.Store].
func (s *Store) Get(ctx context.Context, organization int64, customer, id uuid.UUID) (provider.Provider, error) {
	found, err := read(ctx, s, scanProvider, selectProvider, organization, [16]byte(id))
	if err == nil && !has(customer, found) {
		err = provider.ErrNotFound
	}
	if err != nil {
		return provider.Provider{}, err
	}
	return found[0], nil
}

// has reports whether selectProvider found a record of the customer. The statement has no condition on the customer, as it could then
// be planned to read all of the customer's records.
func has(customer uuid.UUID, found []provider.Provider) bool {
	return len(found) > 0 && !found[0].Deleted && found[0].CustomerID == customer
}

// List implements [provider.Store].
func (s *Store) List(ctx context.Context, l provider.List) ([]provider.Provider, error) {
	query, arguments := selectList(&l)
	var (
		known   []int
		records []provider.Provider
	)
	err := s.readPage(ctx, func(b *pgx.Batch) {
		b.Queue(selectCustomer, l.Organization, [16]byte(l.CustomerID)).Query(into(&known, pgx.RowTo[int]))
		b.Queue(query, arguments...).Query(into(&records, scanProvider))
	})
	if err == nil && len(known) == 0 {
		err = provider.ErrNoCustomer
	}
	return records, err
}

func scanProvider(row pgx.CollectableRow) (p provider.Provider, err error) {
	err = scan(row, &p)
	return p, err
}

// scan reads the columns of a record. Those before them have the given destinations.
func scan(row pgx.CollectableRow, p *provider.Provider, before ...any) error {
	all := append(before, (*[16]byte)(&p.ID), (*[16]byte)(&p.CustomerID), &p.Version, &p.CreatedAt, &p.UpdatedAt, &p.Deleted)
	firstValue := len(all)
	var flags [len(property.Table)]pgtype.Bool
	for i := range flags {
		if property.Table[i].Kind == property.BooleanKind {
			all = append(all, &flags[i])
		} else {
			all = append(all, nil) // read below
		}
	}
	if err := row.Scan(all...); err != nil {
		return err
	}
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	for i, column := range row.RawValues()[firstValue:] {
		switch {
		case column == nil:
			p.Values[i] = property.Null
		case property.Table[i].Kind == property.BooleanKind:
			p.Values[i] = property.Boolean(flags[i].Bool)
		default:
			p.Values[i] = property.Text(string(column))
		}
	}
	return nil
}
