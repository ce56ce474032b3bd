package sqlite

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

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
	statement, err := c.Prepare(selectList)
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
	bindText(statement, 5, (*string)(l.Type))
	bindBool(statement, 6, l.IsActive)
	statement.BindInt64(7, int64(l.Limit))
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
			if err := makeCustomer(c, organization, imports[i].Patch.CustomerID.Value, known); err != nil {
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

	// The columns that scan takes, in its order. The first are also those of bind, in its order.
	values  = "version, updated_at, provider_type, specialty, provider_name, practice_name, npi, phone, fax, email, address, address2, city, state, postal_code, is_primary_provider, is_active, notes"
	columns = values + ", created_at, deleted, providers.customer_id, providers.id"

	selectProvider = "SELECT " + columns + ", row, last_event FROM providers WHERE organization_id = ?1 AND id = ?2"
	selectList     = "SELECT " + columns + ` FROM providers
		WHERE organization_id = ?1 AND customer_id = ?2 AND deleted = 0 AND (created_at, id) < (?3, ?4)
			AND (?5 IS NULL OR provider_type = ?5) AND (?6 IS NULL OR is_active = ?6)
		ORDER BY created_at DESC, id DESC LIMIT ?7`

	insertProvider = "INSERT INTO providers (" + values + `, last_event, created_at, deleted, customer_id, organization_id, id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, 0, ?21, ?22, ?23)`
	updateProvider = `UPDATE providers SET version = ?1, updated_at = ?2, provider_type = ?3, specialty = ?4, provider_name = ?5,
		practice_name = ?6, npi = ?7, phone = ?8, fax = ?9, email = ?10, address = ?11, address2 = ?12, city = ?13, state = ?14,
		postal_code = ?15, is_primary_provider = ?16, is_active = ?17, notes = ?18, last_event = ?19 WHERE row = ?20`
	moveProvider = "UPDATE providers SET created_at = ?1, deleted = ?2, customer_id = ?3 WHERE row = ?4" // apart, because it has SQLite look for the customer and write the index
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
	r := row{row: statement.ColumnInt64(22), lastEvent: statement.ColumnInt64(23)}
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
	query := updateProvider
	if current == nil {
		query = insertProvider
	}
	statement, err := c.Prepare(query)
	if err != nil {
		return err
	}
	bind(statement, next)
	statement.BindInt64(19, lastEvent)
	if current == nil {
		statement.BindInt64(20, next.CreatedAt.UnixMilli())
		statement.BindBytes(21, next.CustomerID[:])
		statement.BindInt64(22, organization)
		statement.BindBytes(23, next.ID[:])
		return run(statement)
	}
	statement.BindInt64(20, current.row)
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

func bind(s *sqlite.Stmt, r *provider.Provider) {
	s.BindInt64(1, r.Version)
	s.BindInt64(2, r.UpdatedAt.UnixMilli())
	s.BindText(3, string(r.Type))
	for i, text := range []*string{r.Specialty, r.ProviderName, r.PracticeName, r.NPI, r.Phone, r.Fax, r.Email, r.Address, r.Address2, r.City, r.State, r.PostalCode} {
		bindText(s, 4+i, text)
	}
	bindBool(s, 16, r.IsPrimaryProvider)
	bindBool(s, 17, r.IsActive)
	bindText(s, 18, r.Notes)
}

func scan(s *sqlite.Stmt, r *provider.Provider) {
	r.Version = s.ColumnInt64(0)
	r.UpdatedAt = time.UnixMilli(s.ColumnInt64(1)).UTC()
	r.Type = provider.Type(s.ColumnText(2))
	scanTexts(s, r)
	r.IsPrimaryProvider = columnBool(s, 15)
	r.IsActive = columnBool(s, 16)
	r.CreatedAt = time.UnixMilli(s.ColumnInt64(18)).UTC()
	r.Deleted = s.ColumnBool(19)
	s.ColumnBytes(20, r.CustomerID[:])
	s.ColumnBytes(21, r.ID[:])
}

func bindText(s *sqlite.Stmt, parameter int, v *string) {
	if v == nil {
		s.BindNull(parameter)
		return
	}
	s.BindText(parameter, *v)
}

func bindBool(s *sqlite.Stmt, parameter int, v *bool) {
	if v == nil {
		s.BindNull(parameter)
		return
	}
	s.BindBool(parameter, *v)
}

// scanTexts has the texts of a record share two pieces of memory; one by one they would take 26.
func scanTexts(s *sqlite.Stmt, r *provider.Provider) {
	var (
		scratch [1 << 10]byte
		columns = [...]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17}
		ends    [len(columns)]int
	)
	all := scratch[:0]
	for i, column := range columns {
		start, length := len(all), s.ColumnLen(column)
		all = slices.Grow(all, length)[:start+length]
		s.ColumnBytes(column, all[start:])
		ends[i] = len(all)
	}
	rest, start := string(all), 0
	values := new([len(columns)]string)
	for i, text := range [...]**string{&r.Specialty, &r.ProviderName, &r.PracticeName, &r.NPI, &r.Phone, &r.Fax, &r.Email, &r.Address, &r.Address2, &r.City, &r.State, &r.PostalCode, &r.Notes} {
		if !s.ColumnIsNull(columns[i]) {
			values[i] = rest[start:ends[i]]
			*text = &values[i]
		}
		start = ends[i]
	}
}

func columnBool(s *sqlite.Stmt, column int) *bool {
	if s.ColumnIsNull(column) {
		return nil
	}
	return new(s.ColumnBool(column))
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
