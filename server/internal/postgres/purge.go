package postgres

import (
	"context"
	"errors"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// A customer is locked against FOR KEY SHARE, so that what is being created for it is saved first.
	lockToClose   = "SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 FOR UPDATE"
	closeCustomer = "INSERT INTO purged_customers (organization_id, id, purged_at) VALUES ($1, $2, clock_timestamp()) ON CONFLICT DO NOTHING"
	openCustomer  = "DELETE FROM purged_customers WHERE organization_id = $1 AND id = $2"

	deleteHistory = "DELETE FROM provider_events WHERE organization_id = $1 AND provider_id = $2"
	deleteRecord  = "DELETE FROM providers WHERE organization_id = $1 AND id = $2"

	lockToDelete = "SELECT id FROM customers WHERE organization_id = $1 AND id >= $2 ORDER BY id LIMIT $3 FOR UPDATE"
	// A record that was created until the lock keeps its customer.
	deleteCustomer = `DELETE FROM customers WHERE organization_id = $1 AND id = $2
		AND (SELECT true FROM providers WHERE providers.organization_id = $1 AND customer_id = $2 AND NOT deleted LIMIT 1) IS NULL
		AND (SELECT true FROM providers WHERE providers.organization_id = $1 AND customer_id = $2 AND deleted LIMIT 1) IS NULL`

	selectKeyPage = "SELECT key FROM idempotency_keys WHERE organization_id = $1 AND key > $2 ORDER BY key LIMIT $3"
	deleteKey     = "DELETE FROM idempotency_keys WHERE organization_id = $1 AND key = $2"

	selectAnyRecord   = "SELECT 1 FROM providers WHERE organization_id = $1 LIMIT 1"
	selectAnyCustomer = "SELECT 1 FROM customers WHERE organization_id = $1 LIMIT 1"

	countCustomers = "SELECT count(*) FROM customers WHERE organization_id = $1"
	countRecords   = `SELECT count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted), coalesce(sum(version), 0)::bigint
		FROM providers WHERE organization_id = $1`
	lockOrganization = "SELECT 1 FROM organizations WHERE id = $1 FOR UPDATE"

	// By its index: the key of the table begins with the time.
	deleteUsage = "DELETE FROM usage WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage WHERE organization_id = $1 LIMIT $2))"
)

// selectClosed returns 1 for an open customer, 0 for one that was purged, and -1 for none.
var selectClosed = "SELECT coalesce((SELECT CASE WHEN " + isOpen("$2") + ` THEN 1 ELSE 0 END FROM customers
		WHERE organization_id = $1 AND id = $2), -1)::bigint`

// Purge implements [provider.Eraser]. PostgreSQL itself keeps old rows until it vacuums.
func (s *Store) Purge(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		t := transaction{numbers: &s.numbers, clock: s.now, deletes: true}
		r := t.of(organization)
		for _, id := range ids {
			r.want(id)
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		for _, one := range r.wanted {
			if one.current == nil {
				continue
			}
			next, event := one.current.Purged(t.now)
			if event != nil {
				r.events = append(r.events, event)
			}
			one.current, one.changed = &next, true
			r.purged = append(r.purged, provider.RecordVersion{ID: next.ID, Version: next.Version})
		}
		return t.commit(ctx, c)
	})
}

// savePurged removes what is left of the histories of purged records.
func (r *records) savePurged(b *pgx.Batch) {
	for _, one := range r.purged {
		b.Queue(deleteEvents, r.organization, [16]byte(one.ID), one.Version-1)
		b.Queue(clearEvent, r.organization, [16]byte(one.ID), one.Version)
	}
}

// RemoveRecords implements [provider.Eraser].
func (s *Store) RemoveRecords(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		t := transaction{numbers: &s.numbers}
		r := t.of(organization)
		for _, id := range ids {
			r.want(id)
		}
		if err := t.begin(ctx, c); err != nil {
			return err
		}
		b := new(pgx.Batch)
		for id := range r.wanted {
			b.Queue(deleteHistory, organization, [16]byte(id))
			b.Queue(deleteRecord, organization, [16]byte(id))
		}
		b.Queue("COMMIT")
		return toCommitError(c, c.SendBatch(ctx, b).Close())
	})
}

// CloseCustomer implements [provider.Eraser].
func (s *Store) CloseCustomer(ctx context.Context, organization int64, customer uuid.UUID) (wasOpen bool, _ error) {
	err := s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
		locked, err := c.Exec(ctx, lockToClose, organization, [16]byte(customer))
		if err != nil {
			return err
		}
		if locked.RowsAffected() == 0 {
			return provider.ErrNoCustomer
		}
		b := new(pgx.Batch)
		b.Queue(closeCustomer, organization, [16]byte(customer)).Exec(func(tag pgconn.CommandTag) error {
			wasOpen = tag.RowsAffected() > 0
			return nil
		})
		b.Queue("COMMIT")
		return toCommitError(c, c.SendBatch(ctx, b).Close())
	})
	return wasOpen, err
}

// openPurged opens customers of an import that were purged. begin has locked them, so that none is closed until the end.
func (r *records) openPurged(b *pgx.Batch) {
	for id, purged := range r.created {
		if purged {
			b.Queue(openCustomer, r.organization, [16]byte(id))
		}
	}
}

var (
	listExisting = listOfCustomer("NOT deleted")
	listDeleted  = listOfCustomer("deleted AND provider_type <> ''")

	countExisting = countOfCustomer("NOT deleted")
	countDeleted  = countOfCustomer("deleted AND provider_type <> ''")
)

func countOfCustomer(condition string) string {
	return "SELECT count(*), coalesce(sum(version), 0)::bigint FROM providers WHERE organization_id = $1 AND customer_id = $2 AND " + condition
}

func listOfCustomer(condition string) string {
	return "SELECT created_at, id, version FROM providers WHERE organization_id = $1 AND customer_id = $2 AND " + condition +
		" AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5"
}

// ListOfCustomer implements [provider.Eraser].
func (s *Store) ListOfCustomer(ctx context.Context, organization int64, customer uuid.UUID, deleted bool, after *provider.Position, limit int) ([]provider.PositionedVersion, error) {
	statement := listExisting
	if deleted {
		statement = listDeleted
	}
	if after == nil {
		after = &provider.Position{}
	}
	scan := func(row pgx.CollectableRow) (one provider.PositionedVersion, err error) {
		err = row.Scan(&one.CreatedAt, (*[16]byte)(&one.ID), &one.Version)
		return one, err
	}
	return read(ctx, s, scan, statement, organization, [16]byte(customer), after.CreatedAt, [16]byte(after.ID), limit)
}

// removedRows is how many rows a transaction of RemoveOrganization removes.
const removedRows = 500

// RemoveOrganization implements [provider.Eraser].
func (s *Store) RemoveOrganization(ctx context.Context, organization int64) (removed bool, err error) {
	if any, err := read(ctx, s, pgx.RowTo[int], selectAnyRecord, organization); err != nil || len(any) > 0 {
		return false, err
	}
	if err := s.removeCustomers(ctx, organization); err != nil {
		return false, err
	}
	if err := s.removeCreations(ctx, organization); err != nil {
		return false, err
	}
	for n := int64(removedRows); n == removedRows; {
		if n, err = s.execute(ctx, deleteUsage, organization, removedRows); err != nil {
			return false, err
		}
	}
	err = s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
		b := new(pgx.Batch)
		b.Queue(lockOrganization, organization) // so that it gets no customer
		b.Queue(selectAnyCustomer, organization).Query(func(rows pgx.Rows) error { removed = !rows.Next(); rows.Close(); return nil })
		if err := c.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		b = new(pgx.Batch)
		if removed {
			b.Queue("DELETE FROM api_keys WHERE organization_id = $1", organization)
			b.Queue("DELETE FROM organizations WHERE id = $1", organization)
			b.Queue("INSERT INTO purged_organizations (id, purged_at) VALUES ($1, clock_timestamp()) ON CONFLICT DO NOTHING", organization)
		}
		b.Queue("COMMIT")
		return toCommitError(c, c.SendBatch(ctx, b).Close())
	})
	return removed && err == nil, err
}

// vacuumProviders has PostgreSQL forget the records that were removed. Otherwise it looks through all of them for each customer that is
// removed, as the foreign key has no index of its own: that would cost every creation.
func (s *Store) vacuumProviders(ctx context.Context) error {
	return s.attempt(ctx, verifyTimeout, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "SET statement_timeout = 0"); err != nil {
			return err
		}
		_, err := c.Exec(ctx, "VACUUM providers")
		_, resetErr := c.Exec(ctx, "SELECT set_config('statement_timeout', $1, false)", milliseconds(statementTimeout))
		return errors.Join(err, resetErr)
	})
}

// removeCustomers removes the customers without records.
func (s *Store) removeCustomers(ctx context.Context, organization int64) error {
	vacuumed := false
	for after, more := uuid.Nil, true; more; {
		if after != uuid.Nil && !vacuumed { // there are many
			if err := s.vacuumProviders(ctx); err != nil {
				return err
			}
			vacuumed = true
		}
		err := s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
			if _, err := c.Exec(ctx, "BEGIN"); err != nil {
				return err
			}
			rows, err := c.Query(ctx, lockToDelete, organization, [16]byte(after), removedRows)
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
			if err != nil {
				return err
			}
			b := new(pgx.Batch)
			for _, id := range ids {
				b.Queue(deleteCustomer, organization, id)
				b.Queue(openCustomer, organization, id)
			}
			b.Queue("COMMIT")
			if more = len(ids) == removedRows; more {
				after = ids[len(ids)-1]
			}
			return toCommitError(c, c.SendBatch(ctx, b).Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeCreations removes the idempotency keys of an organization without customers, which gets no more of them.
func (s *Store) removeCreations(ctx context.Context, organization int64) error {
	for after := []byte{}; ; {
		keys, err := read(ctx, s, pgx.RowTo[[]byte], selectKeyPage, organization, after, removedRows)
		if err != nil || len(keys) == 0 {
			return err
		}
		after = keys[len(keys)-1]
		err = s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
			b := new(pgx.Batch)
			b.Queue("BEGIN")
			for _, key := range keys {
				b.Queue(deleteKey, organization, key)
			}
			b.Queue("COMMIT")
			return toCommitError(c, c.SendBatch(ctx, b).Close())
		})
		if err != nil {
			return err
		}
	}
}

// CountPurge implements [provider.Eraser].
func (s *Store) CountPurge(ctx context.Context, organization int64, customer *uuid.UUID) (count provider.PurgeCount, _ error) {
	var existing, deleted int64 // versions
	err := s.attempt(ctx, verifyTimeout, func(ctx context.Context, c *pgx.Conn) error {
		return inSnapshot(ctx, c, func(b *pgx.Batch) {
			into := func(statement string, customer []any, to ...any) {
				b.Queue(statement, append([]any{organization}, customer...)...).QueryRow(func(row pgx.Row) error { return row.Scan(to...) })
			}
			b.Queue("SELECT set_config('statement_timeout', $1, true)", milliseconds(verifyTimeout))
			if customer == nil {
				into(countCustomers, nil, &count.Customers)
				into(countRecords, nil, &count.Existing, &count.Deleted, &existing)
				return
			}
			id := []any{[16]byte(*customer)}
			into(selectClosed, id, &count.Customers)
			into(countExisting, id, &count.Existing, &existing)
			into(countDeleted, id, &count.Deleted, &deleted)
		})
	})
	count.Versions = existing + deleted
	if err == nil && count.Customers < 0 {
		err = provider.ErrNoCustomer
	}
	return count, err
}

// Scrub implements [provider.Eraser]. It does nothing: PostgreSQL's log and its vacuum are the operator's.
func (s *Store) Scrub(context.Context) error { return nil }
