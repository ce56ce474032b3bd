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
	r, err := s.updates.Do(ctx, u)
	switch {
	case errors.Is(err, batch.ErrFull):
		return r, provider.Busy(err)
	case errors.Is(err, batch.ErrClosed):
		return r, provider.Down(err)
	}
	return r, err
}

// runUpdates makes the changes of one batch in one transaction. A call that its record refuses fails alone. If the
// transaction itself breaks over something that one call may have caused, each call gets a transaction of its own.
func (s *Store) runUpdates(calls []provider.Update) []batch.Result[provider.Provider] {
	results := make([]batch.Result[provider.Provider], len(calls))
	err := s.write(func(c *sqlite.Conn) error {
		now := s.now()
		for i := range calls {
			u := &calls[i]
			current, err := load(c, u.Organization, u.ID)
			if err != nil {
				return err
			}
			next, event, err := u.Apply(current, now)
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
	if err == nil {
		return results
	}
	var whole *provider.Error
	if len(calls) > 1 && !errors.As(err, &whole) {
		for i := range calls {
			results[i] = s.runUpdates(calls[i : i+1])[0]
		}
		return results
	}
	for i := range results {
		results[i] = batch.Result[provider.Provider]{Err: err}
	}
	return results
}

// Import is provider.Store's: one transaction.
func (s *Store) Import(_ context.Context, organization int64, imports []provider.Import) error {
	return s.write(func(c *sqlite.Conn) error {
		now := s.now()
		for i := range imports {
			customer := imports[i].Patch.CustomerID.Value
			if err := sqlitex.Execute(c, "INSERT INTO customers (organization_id, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
				&sqlitex.ExecOptions{Args: []any{organization, customer[:]}}); err != nil {
				return err
			}
			current, err := load(c, organization, imports[i].ID)
			if err != nil {
				return err
			}
			next, event, err := imports[i].Apply(current, now)
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

// columns are a provider's, in the order in which bind and scan take them, the key first.
const columns = `organization_id, id, customer_id, version, created_at, updated_at, provider_type, specialty, provider_name,
	practice_name, npi, phone, fax, email, address, address2, city, state, postal_code, is_primary_provider, is_active, notes`

const (
	selectProvider = "SELECT " + columns + " FROM providers WHERE organization_id = ?1 AND id = ?2"
	insertProvider = "INSERT INTO providers (" + columns + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)"
	updateProvider = `UPDATE providers SET customer_id = ?3, version = ?4, created_at = ?5, updated_at = ?6, provider_type = ?7,
		specialty = ?8, provider_name = ?9, practice_name = ?10, npi = ?11, phone = ?12, fax = ?13, email = ?14, address = ?15,
		address2 = ?16, city = ?17, state = ?18, postal_code = ?19, is_primary_provider = ?20, is_active = ?21, notes = ?22
		WHERE organization_id = ?1 AND id = ?2`
	insertEvent = `INSERT INTO provider_events (organization_id, provider_id, version, at, action, key_id, request_id, changes)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`
	selectCustomer = "SELECT 1 FROM customers WHERE organization_id = ?1 AND id = ?2"
)

func load(c *sqlite.Conn, organization int64, id uuid.UUID) (*provider.Provider, error) {
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
	r := scan(statement)
	return &r, nil
}

// save writes what Apply decided, the record and its event; nothing if there is no event.
func save(c *sqlite.Conn, organization int64, current, next *provider.Provider, event *provider.Event) error {
	if event == nil {
		return nil
	}
	query := insertProvider
	if current != nil {
		query = updateProvider
		if next.CustomerID != current.CustomerID {
			if known, err := exists(c, selectCustomer, organization, next.CustomerID); err != nil {
				return err
			} else if !known {
				return provider.ErrUnknownCustomer
			}
		}
	}
	changes, err := json.Marshal(event.Changes)
	if err != nil {
		return err
	}
	statement, err := c.Prepare(query)
	if err != nil {
		return err
	}
	bind(statement, organization, next)
	if err := run(statement); err != nil {
		return err
	}
	if statement, err = c.Prepare(insertEvent); err != nil {
		return err
	}
	statement.BindInt64(1, organization)
	statement.BindBytes(2, event.ProviderID[:])
	statement.BindInt64(3, event.Version)
	statement.BindInt64(4, event.At.UnixMilli())
	statement.BindText(5, string(event.Action))
	statement.BindText(6, event.By.KeyID)
	statement.BindText(7, event.By.RequestID)
	statement.BindText(8, string(changes))
	return run(statement)
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

func bind(s *sqlite.Stmt, organization int64, r *provider.Provider) {
	s.BindInt64(1, organization)
	s.BindBytes(2, r.ID[:])
	s.BindBytes(3, r.CustomerID[:])
	s.BindInt64(4, r.Version)
	s.BindInt64(5, r.CreatedAt.UnixMilli())
	s.BindInt64(6, r.UpdatedAt.UnixMilli())
	s.BindText(7, string(r.Type))
	for i, text := range []*string{r.Specialty, r.ProviderName, r.PracticeName, r.NPI, r.Phone, r.Fax, r.Email, r.Address, r.Address2, r.City, r.State, r.PostalCode} {
		bindText(s, 8+i, text)
	}
	bindBool(s, 20, r.IsPrimaryProvider)
	bindBool(s, 21, r.IsActive)
	bindText(s, 22, r.Notes)
}

func scan(s *sqlite.Stmt) provider.Provider {
	r := provider.Provider{
		Version:   s.ColumnInt64(3),
		CreatedAt: time.UnixMilli(s.ColumnInt64(4)).UTC(),
		UpdatedAt: time.UnixMilli(s.ColumnInt64(5)).UTC(),
		Type:      provider.Type(s.ColumnText(6)),
	}
	s.ColumnBytes(1, r.ID[:])
	s.ColumnBytes(2, r.CustomerID[:])
	for i, text := range []**string{&r.Specialty, &r.ProviderName, &r.PracticeName, &r.NPI, &r.Phone, &r.Fax, &r.Email, &r.Address, &r.Address2, &r.City, &r.State, &r.PostalCode} {
		*text = columnText(s, 7+i)
	}
	r.IsPrimaryProvider = columnBool(s, 19)
	r.IsActive = columnBool(s, 20)
	r.Notes = columnText(s, 21)
	return r
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
		return sqlitex.Execute(c, `SELECT version, at, action, key_id, request_id, changes
			FROM organizations JOIN provider_events ON organization_id = organizations.id
			WHERE provider_id = ?1 ORDER BY organization_id, version`,
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
func (s *Store) Organization(_ context.Context, name string) (number int64, err error) {
	err = s.write(func(c *sqlite.Conn) error {
		if err := sqlitex.Execute(c, "INSERT INTO organizations (name) VALUES (?1) ON CONFLICT DO NOTHING",
			&sqlitex.ExecOptions{Args: []any{name}}); err != nil {
			return err
		}
		return sqlitex.Execute(c, "SELECT id FROM organizations WHERE name = ?1", &sqlitex.ExecOptions{
			Args:       []any{name},
			ResultFunc: func(s *sqlite.Stmt) error { number = s.ColumnInt64(0); return nil },
		})
	})
	return number, err
}
