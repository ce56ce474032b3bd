package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var _ provider.Store = (*Store)(nil)

// Update is provider.Store's.
func (s *Store) Update(ctx context.Context, u provider.Update) (provider.Provider, error) {
	return s.updatesOf(u.ID).Update(ctx, u)
}

// runUpdates is the transaction of a batch.
func (s *Store) runUpdates(calls []provider.Update) ([]batch.Result[provider.Provider], error) {
	results := make([]batch.Result[provider.Provider], len(calls))
	err := s.write(context.Background(), func(ctx context.Context, c *pgx.Conn) error {
		var t transaction
		for i := range calls {
			u := &calls[i]
			records := t.of(u.Organization)
			records.want(u.ID)
			if to := u.Patch.CustomerID; to.Set && to.Value != u.CustomerID {
				records.customers[to.Value] = false
			}
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		now := s.now()
		for i := range calls {
			u := &calls[i]
			records := t.of(u.Organization)
			next, event, err := u.Apply(records.current[u.ID], now)
			if err == nil {
				err = records.change(next, event)
			}
			var refused *provider.Error
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			results[i] = batch.Result[provider.Provider]{Value: next, Err: err}
		}
		return t.commit(ctx, c)
	})
	return results, err
}

// Import is provider.Store's: one transaction.
func (s *Store) Import(ctx context.Context, organization int64, imports []provider.Import) error {
	return s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		var t transaction
		records := t.of(organization)
		for i := range imports {
			records.want(imports[i].ID)
			records.made = append(records.made, imports[i].Patch.CustomerID.Value)
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		now := s.now()
		for i := range imports {
			next, event, err := imports[i].Apply(records.current[imports[i].ID], now)
			if err == nil {
				err = records.change(next, event)
			}
			if err != nil {
				return err
			}
		}
		err := t.commit(ctx, c)
		if err != nil && cause(err) == uniqueViolation { // another made one of the records, which had no row to lock yet
			return serializationFailure
		}
		return err
	})
}

// transaction is what one has to do: the records of some organizations, in the order of their numbers.
type transaction struct{ organizations []*records }

// records are those of one organization that a transaction locks and reads, and then writes.
type records struct {
	organization int64
	wanted       [][16]byte                       // providers to be read
	current      map[uuid.UUID]*provider.Provider // every wanted one as it stands, nil if there is none
	changed      map[uuid.UUID]bool               // those of current that are to be saved
	events       []*provider.Event                // of the changes to current
	made         [][16]byte                       // customers that are made if they do not exist
	customers    map[uuid.UUID]bool               // whether they exist: those made, and those that records may move to
}

func (t *transaction) of(organization int64) *records {
	i, found := slices.BinarySearchFunc(t.organizations, organization, func(r *records, organization int64) int {
		return cmp.Compare(r.organization, organization)
	})
	if !found {
		t.organizations = slices.Insert(t.organizations, i, &records{
			organization: organization,
			current:      map[uuid.UUID]*provider.Provider{},
			changed:      map[uuid.UUID]bool{},
			customers:    map[uuid.UUID]bool{},
		})
	}
	return t.organizations[i]
}

func (r *records) want(id uuid.UUID) {
	if _, wanted := r.current[id]; !wanted {
		r.current[id] = nil
		r.wanted = append(r.wanted, id)
	}
}

// change puts a record in its new state, for commit to save. Without an event there is no change.
func (r *records) change(next provider.Provider, event *provider.Event) error {
	if event == nil {
		return nil
	}
	current := r.current[next.ID]
	if (current == nil || next.CustomerID != current.CustomerID) && !r.customers[next.CustomerID] {
		return provider.ErrUnknownCustomer
	}
	r.current[next.ID], r.changed[next.ID] = &next, true
	r.events = append(r.events, event)
	return nil
}

// begin begins the transaction, locks the wanted records and reads them: one round trip.
func (t *transaction) begin(ctx context.Context, c *pgx.Conn) error {
	b := new(pgx.Batch)
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED") // the locks do the rest
	for _, r := range t.organizations {
		if len(r.made) > 0 {
			slices.SortFunc(r.made, compareIDs)
			b.Queue(insertCustomers, r.organization, r.made)
			for _, id := range r.made {
				r.customers[id] = true
			}
		}
		slices.SortFunc(r.wanted, compareIDs) // they are locked, and new ones made, in this order
		b.Queue(selectProviders, r.organization, r.wanted).Query(r.scanProviders)
		for id, exists := range r.customers {
			if !exists {
				b.Queue(selectCustomer, r.organization, [16]byte(id)).Query(r.scanCustomer)
			}
		}
	}
	return c.SendBatch(ctx, b).Close()
}

// commit saves the changed records and their events, and commits: one round trip.
func (t *transaction) commit(ctx context.Context, c *pgx.Conn) error {
	b := new(pgx.Batch)
	for _, r := range t.organizations {
		if len(r.events) == 0 {
			continue
		}
		events, err := r.appending()
		if err != nil {
			return err
		}
		b.Queue(saveProviders, r.saving()...)
		b.Queue(insertEvents, events...)
	}
	b.Queue("COMMIT")
	return commitFailure(c, c.SendBatch(ctx, b).Close())
}

func compareIDs(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }

const (
	insertCustomers = "INSERT INTO customers (organization_id, id) SELECT $1::bigint, unnest($2::uuid[]) ON CONFLICT DO NOTHING"
	selectCustomer  = "SELECT id FROM customers WHERE organization_id = $1 AND id = $2"

	// The columns are in the order of columns and saving. The inner query leaves the planner no choice but to look for
	// one key after another, in the order given; id = ANY makes it read all of an organization if it was planned when
	// there was little to read.
	selectProviders = `SELECT found.* FROM unnest($2::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
			SELECT id, customer_id, version, created_at, updated_at, provider_type, is_primary_provider, is_active, specialty, provider_name,
				practice_name, npi, phone, fax, email, address, address2, city, state, postal_code, notes
			FROM providers WHERE organization_id = $1 AND id = wanted.id FOR UPDATE
		) AS found`

	// One statement finds a record by its key or makes it. UPDATE … FROM has to join, and how depends on what the planner
	// believes of the table. Arrays that are unnested side by side are read in step, in FROM they would be copied first.
	saveProviders = `INSERT INTO providers (organization_id, id, customer_id, version, created_at, updated_at, provider_type, is_primary_provider,
		is_active, specialty, provider_name, practice_name, npi, phone, fax, email, address, address2, city, state, postal_code, notes)
		SELECT $1::bigint, unnest($2::uuid[]), unnest($3::uuid[]), unnest($4::bigint[]), unnest($5::timestamptz[]), unnest($6::timestamptz[]),
			unnest($7::text[]), unnest($8::boolean[]), unnest($9::boolean[]), unnest($10::text[]), unnest($11::text[]), unnest($12::text[]),
			unnest($13::text[]), unnest($14::text[]), unnest($15::text[]), unnest($16::text[]), unnest($17::text[]), unnest($18::text[]),
			unnest($19::text[]), unnest($20::text[]), unnest($21::text[]), unnest($22::text[])
		ON CONFLICT (organization_id, id) DO UPDATE SET customer_id = excluded.customer_id, version = excluded.version,
			updated_at = excluded.updated_at, provider_type = excluded.provider_type, is_primary_provider = excluded.is_primary_provider,
			is_active = excluded.is_active, specialty = excluded.specialty, provider_name = excluded.provider_name,
			practice_name = excluded.practice_name, npi = excluded.npi, phone = excluded.phone, fax = excluded.fax, email = excluded.email,
			address = excluded.address, address2 = excluded.address2, city = excluded.city, state = excluded.state,
			postal_code = excluded.postal_code, notes = excluded.notes`

	// A version is in the history once: of two transactions that make the same record, the later one fails here.
	insertEvents = `INSERT INTO provider_events (organization_id, provider_id, version, at, action, key_id, request_id, changes)
		SELECT $1::bigint, unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::timestamptz[]), unnest($5::text[]), unnest($6::text[]),
			unnest($7::text[]), unnest($8::text[])`
	selectEvents = `SELECT version, at, action, key_id, request_id, changes
		FROM organizations JOIN provider_events ON organization_id = organizations.id
		WHERE provider_id = $1 ORDER BY at, organization_id, version`
)

func (r *records) scanCustomer(rows pgx.Rows) error {
	for rows.Next() {
		var id [16]byte
		if err := rows.Scan(&id); err != nil {
			return err
		}
		r.customers[id] = true
	}
	return nil // or the rows' own error, which pgx looks at
}

func (r *records) scanProviders(rows pgx.Rows) error {
	for rows.Next() {
		p := new(provider.Provider)
		if err := rows.Scan(columns(p)...); err != nil {
			return err
		}
		p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
		r.current[p.ID] = p
	}
	return nil
}

// columns are where a row of selectProviders goes.
func columns(p *provider.Provider) []any {
	all := []any{(*[16]byte)(&p.ID), (*[16]byte)(&p.CustomerID), &p.Version, &p.CreatedAt, &p.UpdatedAt, (*string)(&p.Type), &p.IsPrimaryProvider, &p.IsActive}
	for _, text := range texts(p) {
		all = append(all, text)
	}
	return all
}

// texts are the columns that hold text or null.
func texts(p *provider.Provider) [13]**string {
	return [...]**string{&p.Specialty, &p.ProviderName, &p.PracticeName, &p.NPI, &p.Phone, &p.Fax, &p.Email, &p.Address, &p.Address2,
		&p.City, &p.State, &p.PostalCode, &p.Notes}
}

// saving returns the arguments of saveProviders: an array for each column.
func (r *records) saving() []any {
	var changed []*provider.Provider
	for _, id := range r.wanted {
		if r.changed[id] {
			changed = append(changed, r.current[id])
		}
	}
	arguments := []any{
		r.organization,
		column(changed, func(p *provider.Provider) [16]byte { return p.ID }),
		column(changed, func(p *provider.Provider) [16]byte { return p.CustomerID }),
		column(changed, func(p *provider.Provider) int64 { return p.Version }),
		column(changed, func(p *provider.Provider) time.Time { return p.CreatedAt }),
		column(changed, func(p *provider.Provider) time.Time { return p.UpdatedAt }),
		column(changed, func(p *provider.Provider) string { return string(p.Type) }),
		column(changed, func(p *provider.Provider) *bool { return p.IsPrimaryProvider }),
		column(changed, func(p *provider.Provider) *bool { return p.IsActive }),
	}
	for i := range texts(new(provider.Provider)) {
		arguments = append(arguments, column(changed, func(p *provider.Provider) *string { return *texts(p)[i] }))
	}
	return arguments
}

// appending returns the arguments of insertEvents: an array for each column.
func (r *records) appending() ([]any, error) {
	changes := make([]string, len(r.events))
	for i, event := range r.events {
		text, err := json.Marshal(event.Changes)
		if err != nil {
			return nil, err
		}
		changes[i] = string(text)
	}
	return []any{
		r.organization,
		column(r.events, func(e *provider.Event) [16]byte { return e.ProviderID }),
		column(r.events, func(e *provider.Event) int64 { return e.Version }),
		column(r.events, func(e *provider.Event) time.Time { return e.At }),
		column(r.events, func(e *provider.Event) string { return string(e.Action) }),
		column(r.events, func(e *provider.Event) string { return e.By.KeyID }),
		column(r.events, func(e *provider.Event) string { return e.By.RequestID }),
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

// History is provider.Store's.
func (s *Store) History(ctx context.Context, id uuid.UUID) ([]provider.Event, error) {
	return read(ctx, s, func(row pgx.CollectableRow) (provider.Event, error) {
		event := provider.Event{ProviderID: id}
		var changes []byte
		if err := row.Scan(&event.Version, &event.At, (*string)(&event.Action), &event.By.KeyID, &event.By.RequestID, &changes); err != nil {
			return event, err
		}
		event.At = event.At.UTC()
		return event, json.Unmarshal(changes, &event.Changes)
	}, selectEvents, [16]byte(id))
}

// Organization is provider.Store's.
func (s *Store) Organization(ctx context.Context, name string) (int64, error) {
	if number, err := s.organization(ctx, name); err != nil || number != 0 {
		return number, err
	}
	if _, err := s.execute(ctx, "INSERT INTO organizations (name) VALUES ($1) ON CONFLICT DO NOTHING", name); err != nil {
		return 0, err
	}
	return s.organization(ctx, name)
}

// organization returns the number of the organization of that name, 0 if there is none.
func (s *Store) organization(ctx context.Context, name string) (int64, error) {
	numbers, err := read(ctx, s, pgx.RowTo[int64], "SELECT id FROM organizations WHERE name = $1", name)
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	return numbers[0], nil
}
