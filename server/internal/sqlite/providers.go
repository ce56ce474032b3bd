package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ provider.Store = (*Store)(nil)

// Update is provider.Store's.
func (s *Store) Update(ctx context.Context, u provider.Update) (provider.Provider, error) {
	return s.updates.Update(ctx, u)
}

// runUpdates is the transaction of a batch.
func (s *Store) runUpdates(calls []provider.Update) ([]batch.Result[provider.Provider], error) {
	results := make([]batch.Result[provider.Provider], len(calls))
	err := s.write(context.Background(), func(c *sqlite.Conn) error {
		now := s.now()
		for i := range calls {
			u := &calls[i]
			current, err := load(c, u.Organization, u.ID)
			if err != nil {
				return err
			}
			next, event, err := u.Apply(current.provider(), now)
			if err == nil {
				err = save(c, u.Organization, current, &next, event)
			}
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

// Import is provider.Store's: one transaction.
func (s *Store) Import(ctx context.Context, organization int64, imports []provider.Import) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		now := s.now()
		for i := range imports {
			customer := imports[i].Patch.CustomerID.Value
			if err := execute(c, insertCustomer, organization, customer[:]); err != nil {
				return err
			}
			current, err := load(c, organization, imports[i].ID)
			if err != nil {
				return err
			}
			next, event, err := imports[i].Apply(current.provider(), now)
			if err != nil {
				return err
			}
			if err := save(c, organization, current, &next, event); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	insertCustomer = "INSERT INTO customers (organization_id, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
	selectCustomer = "SELECT 1 FROM customers WHERE organization_id = ?1 AND id = ?2"

	// The columns that bind and scan take come first, in their order.
	selectProvider = `SELECT version, created_at, updated_at, provider_type, specialty, provider_name, practice_name, npi, phone, fax,
		email, address, address2, city, state, postal_code, is_primary_provider, is_active, notes, id, customer_id, row, last_event
		FROM providers WHERE organization_id = ?1 AND id = ?2`
	insertProvider = `INSERT INTO providers (version, created_at, updated_at, provider_type, specialty, provider_name, practice_name, npi,
		phone, fax, email, address, address2, city, state, postal_code, is_primary_provider, is_active, notes, last_event, customer_id, organization_id, id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)`
	updateProvider = `UPDATE providers SET version = ?1, created_at = ?2, updated_at = ?3, provider_type = ?4, specialty = ?5, provider_name = ?6,
		practice_name = ?7, npi = ?8, phone = ?9, fax = ?10, email = ?11, address = ?12, address2 = ?13, city = ?14, state = ?15,
		postal_code = ?16, is_primary_provider = ?17, is_active = ?18, notes = ?19, last_event = ?20 WHERE row = ?21`
	moveProvider = "UPDATE providers SET customer_id = ?1 WHERE row = ?2" // apart, because it has SQLite look for the customer

	insertEvent = `INSERT INTO provider_events (previous, version, at, action, key_id, request_id, changes)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
	selectEvents = `WITH RECURSIVE history AS (
			SELECT provider_events.*, organization_id FROM providers JOIN provider_events ON provider_events.row = last_event
			WHERE organization_id IN (SELECT id FROM organizations) AND providers.id = ?1
			UNION ALL
			SELECT provider_events.*, organization_id FROM history JOIN provider_events ON provider_events.row = history.previous
		)
		SELECT version, at, action, key_id, request_id, changes FROM history ORDER BY at, organization_id, version`
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
	r := row{row: statement.ColumnInt64(21), lastEvent: statement.ColumnInt64(22)}
	scan(statement, &r.Provider)
	return &r, nil
}

// save writes what Apply decided, the record and its event; nothing if there is no event. current is nil for a new record.
func save(c *sqlite.Conn, organization int64, current *row, next *provider.Provider, event *provider.Event) error {
	if event == nil {
		return nil
	}
	moved := current == nil || next.CustomerID != current.CustomerID
	if moved {
		if known, err := exists(c, selectCustomer, organization, next.CustomerID); err != nil {
			return err
		} else if !known {
			return provider.ErrUnknownCustomer
		}
	}
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
	statement.BindInt64(20, lastEvent)
	if current == nil {
		statement.BindBytes(21, next.CustomerID[:])
		statement.BindInt64(22, organization)
		statement.BindBytes(23, next.ID[:])
		return run(statement)
	}
	statement.BindInt64(21, current.row)
	if err := run(statement); err != nil || !moved {
		return err
	}
	return execute(c, moveProvider, next.CustomerID[:], current.row)
}

func saveEvent(c *sqlite.Conn, current *row, event *provider.Event) (int64, error) {
	changes, err := json.Marshal(event.Changes)
	if err != nil {
		return 0, err
	}
	statement, err := c.Prepare(insertEvent)
	if err != nil {
		return 0, err
	}
	if current == nil {
		statement.BindNull(1)
	} else {
		statement.BindInt64(1, current.lastEvent)
	}
	statement.BindInt64(2, event.Version)
	statement.BindInt64(3, event.At.UnixMilli())
	statement.BindText(4, string(event.Action))
	statement.BindText(5, event.By.KeyID)
	statement.BindText(6, event.By.RequestID)
	statement.BindText(7, string(changes))
	if err := run(statement); err != nil {
		return 0, err
	}
	return c.LastInsertRowID(), nil
}

func exists(c *sqlite.Conn, query string, organization int64, id uuid.UUID) (bool, error) {
	statement, err := c.Prepare(query)
	if err != nil {
		return false, err
	}
	defer statement.Reset()
	statement.BindInt64(1, organization)
	statement.BindBytes(2, id[:])
	return statement.Step()
}

// run steps a statement that returns no rows, and readies it for its next use.
func run(statement *sqlite.Stmt) error {
	_, err := statement.Step()
	return errors.Join(err, statement.Reset())
}

func bind(s *sqlite.Stmt, r *provider.Provider) {
	s.BindInt64(1, r.Version)
	s.BindInt64(2, r.CreatedAt.UnixMilli())
	s.BindInt64(3, r.UpdatedAt.UnixMilli())
	s.BindText(4, string(r.Type))
	for i, text := range []*string{r.Specialty, r.ProviderName, r.PracticeName, r.NPI, r.Phone, r.Fax, r.Email, r.Address, r.Address2, r.City, r.State, r.PostalCode} {
		bindText(s, 5+i, text)
	}
	bindBool(s, 17, r.IsPrimaryProvider)
	bindBool(s, 18, r.IsActive)
	bindText(s, 19, r.Notes)
}

func scan(s *sqlite.Stmt, r *provider.Provider) {
	r.Version = s.ColumnInt64(0)
	r.CreatedAt = time.UnixMilli(s.ColumnInt64(1)).UTC()
	r.UpdatedAt = time.UnixMilli(s.ColumnInt64(2)).UTC()
	r.Type = provider.Type(s.ColumnText(3))
	for i, text := range []**string{&r.Specialty, &r.ProviderName, &r.PracticeName, &r.NPI, &r.Phone, &r.Fax, &r.Email, &r.Address, &r.Address2, &r.City, &r.State, &r.PostalCode} {
		*text = columnText(s, 4+i)
	}
	r.IsPrimaryProvider = columnBool(s, 16)
	r.IsActive = columnBool(s, 17)
	r.Notes = columnText(s, 18)
	s.ColumnBytes(19, r.ID[:])
	s.ColumnBytes(20, r.CustomerID[:])
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

func columnText(s *sqlite.Stmt, column int) *string {
	if s.ColumnIsNull(column) {
		return nil
	}
	return new(s.ColumnText(column))
}

func columnBool(s *sqlite.Stmt, column int) *bool {
	if s.ColumnIsNull(column) {
		return nil
	}
	return new(s.ColumnBool(column))
}

// History is provider.Store's.
func (s *Store) History(ctx context.Context, id uuid.UUID) ([]provider.Event, error) {
	var events []provider.Event
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, selectEvents,
			&sqlitex.ExecOptions{Args: []any{id[:]}, ResultFunc: func(s *sqlite.Stmt) error {
				event := provider.Event{
					ProviderID: id,
					Version:    s.ColumnInt64(0),
					At:         time.UnixMilli(s.ColumnInt64(1)).UTC(),
					Action:     provider.Action(s.ColumnText(2)),
					By:         provider.Actor{KeyID: s.ColumnText(3), RequestID: s.ColumnText(4)},
				}
				events = append(events, event)
				return json.Unmarshal([]byte(s.ColumnText(5)), &events[len(events)-1].Changes)
			}})
	})
	return events, err
}

// Organization is provider.Store's.
func (s *Store) Organization(ctx context.Context, name string) (number int64, err error) {
	err = s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, "INSERT INTO organizations (name) VALUES (?1) ON CONFLICT DO NOTHING", name); err != nil {
			return err
		}
		return sqlitex.Execute(c, "SELECT id FROM organizations WHERE name = ?1", &sqlitex.ExecOptions{
			Args:       []any{name},
			ResultFunc: func(s *sqlite.Stmt) error { number = s.ColumnInt64(0); return nil },
		})
	})
	return number, err
}
