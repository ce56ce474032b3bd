package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	selectClosed = `SELECT EXISTS (SELECT 1 FROM purged_customers AS purged WHERE purged.organization_id = ?1 AND purged.id = ?2)
		FROM customers WHERE organization_id = ?1 AND id = ?2`
	closeCustomer   = "INSERT INTO purged_customers (organization_id, id, purged_at) VALUES (?1, ?2, ?3)"
	deleteCustomers = `DELETE FROM customers WHERE organization_id = ?1 AND id IN (
			SELECT id FROM customers WHERE organization_id = ?1 ORDER BY id LIMIT ?2)`
	deletePurged = `DELETE FROM purged_customers WHERE organization_id = ?1 AND id IN (
			SELECT id FROM purged_customers WHERE organization_id = ?1 ORDER BY id LIMIT ?2)`
	deleteCreations = `DELETE FROM idempotency_keys WHERE organization_id = ?1 AND key IN (
			SELECT key FROM idempotency_keys WHERE organization_id = ?1 ORDER BY key LIMIT ?2)`
	deleteUsage = `DELETE FROM usage WHERE (resolution, period, organization_id, key_id, operation) IN (
			SELECT resolution, period, organization_id, key_id, operation FROM usage WHERE organization_id = ?1 LIMIT ?2)`
	selectAnyRecord = "SELECT 1 FROM providers WHERE organization_id = ?1 LIMIT 1"

	countOfAll = `SELECT count(*) FILTER (WHERE deleted = 0), count(*) FILTER (WHERE deleted = 1), coalesce(sum(version), 0) FROM providers
		WHERE organization_id = ?1`
	countCustomers = "SELECT count(*) FROM customers WHERE organization_id = ?1"
)

// Each of these has an index of its own: records that are not deleted, and those that are.
var (
	listExisting  = listOfCustomer("deleted = 0")
	listDeleted   = listOfCustomer("deleted = 1 AND provider_type <> ''")
	countExisting = countOfCustomer("deleted = 0")
	countDeleted  = countOfCustomer("deleted = 1 AND provider_type <> ''")
)

func listOfCustomer(condition string) string {
	return "SELECT created_at, id, version FROM providers WHERE organization_id = ?1 AND customer_id = ?2 AND " + condition +
		" AND (created_at, id) > (?3, ?4) ORDER BY created_at, id LIMIT ?5"
}

func countOfCustomer(condition string) string {
	return "SELECT count(*), coalesce(sum(version), 0) FROM providers WHERE organization_id = ?1 AND customer_id = ?2 AND " + condition
}

// Purge implements [provider.Eraser]. The file keeps nothing of what is removed: SQLite overwrites it.
func (s *Store) Purge(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return s.writeShared(ctx, len(ids), func(c *sqlite.Conn) error {
		now := s.now()
		return forEach(c, organization, ids, func(record *row) error {
			next, event := record.Purged(now)
			last := record.lastEvent
			if event != nil {
				var err error
				if last, err = s.saveEvent(c, record, event); err != nil {
					return err
				}
			}
			if err := replace(c, organization, record, &next, last); err != nil {
				return err
			}
			record.lastEvent = last
			if _, err := removeEvents(c, record, next.Version-1); err != nil {
				return err
			}
			return execute(c, clearEvent, last)
		})
	})
}

// RemoveRecords implements [provider.Eraser].
func (s *Store) RemoveRecords(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return s.writeShared(ctx, len(ids), func(c *sqlite.Conn) error {
		return forEach(c, organization, ids, func(record *row) error {
			if _, err := removeEvents(c, record, record.Version); err != nil {
				return err
			}
			return execute(c, deleteProvider, record.rowID)
		})
	})
}

// forEach calls f for each of the records that exist, deleted or not.
func forEach(c *sqlite.Conn, organization int64, ids []uuid.UUID, f func(*row) error) error {
	for _, id := range ids {
		record, err := load(c, organization, id)
		if err == nil && record != nil {
			err = f(record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeShared is write for one of many transactions, each on so many records, which leaves time for those of another process.
func (s *Store) writeShared(ctx context.Context, records int, f func(*sqlite.Conn) error) error {
	shared, err := s.letOthersWrite()
	if err != nil {
		return err
	}
	if err := s.write(ctx, f); err != nil {
		return err
	}
	if shared {
		s.checks.wait(records)
	}
	return nil
}

// CloseCustomer implements [provider.Eraser].
func (s *Store) CloseCustomer(ctx context.Context, organization int64, customer uuid.UUID) (wasOpen bool, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		closed, err := number(c, selectClosed, organization, customer[:])
		if err != nil {
			return err
		}
		if closed < 0 {
			return provider.ErrNoCustomer
		}
		if wasOpen = closed == 0; !wasOpen {
			return nil
		}
		return execute(c, closeCustomer, organization, customer[:], s.now().UnixMilli())
	})
	return wasOpen, err
}

// ListOfCustomer implements [provider.Eraser].
func (s *Store) ListOfCustomer(ctx context.Context, organization int64, customer uuid.UUID, deleted bool, after *provider.Position, limit int) (all []provider.PositionedVersion, err error) {
	since, id := int64(-1<<63), []byte{}
	if after != nil {
		since, id = after.CreatedAt.UnixMilli(), after.ID[:]
	}
	err = s.read(ctx, func(c *sqlite.Conn) error {
		statement := listExisting
		if deleted {
			statement = listDeleted
		}
		arguments := []any{organization, customer[:], since, id, limit}
		return sqlitex.Execute(c, statement, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
			from := scanner{statement: s}
			all = append(all, provider.PositionedVersion{Position: provider.Position{CreatedAt: from.time(), ID: from.uuid()}, Version: from.int64()})
			return nil
		}})
	})
	return all, err
}

// removedRows is how many rows a transaction of RemoveOrganization removes.
const removedRows = 1000

// RemoveOrganization implements [provider.Eraser].
func (s *Store) RemoveOrganization(ctx context.Context, organization int64) (removed bool, err error) {
	more := true
	for more {
		err := s.writeShared(ctx, removedRows/4, func(c *sqlite.Conn) error {
			more = false
			if any, err := number(c, selectAnyRecord, organization); err != nil || any > 0 {
				return err
			}
			for _, statement := range []string{deleteCustomers, deletePurged, deleteCreations, deleteUsage} {
				if err := execute(c, statement, organization, removedRows); err != nil {
					return err
				}
				more = more || c.Changes() == removedRows
			}
			if more {
				return nil
			}
			removed = true
			return removeOrganization(c, organization, s.now())
		})
		if err != nil {
			return false, err
		}
	}
	return removed, nil
}

func removeOrganization(c *sqlite.Conn, organization int64, now time.Time) error {
	return errors.Join(
		execute(c, "DELETE FROM api_keys WHERE organization_id = ?1", organization),
		execute(c, "DELETE FROM organizations WHERE id = ?1", organization),
		execute(c, "INSERT OR IGNORE INTO purged_organizations (id, purged_at) VALUES (?1, ?2)", organization, now.UnixMilli()),
	)
}

// CountPurge implements [provider.Eraser].
func (s *Store) CountPurge(ctx context.Context, organization int64, customer *uuid.UUID) (count provider.PurgeCount, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) (err error) {
		if customer == nil {
			return errors.Join(
				numbers(c, countCustomers, []any{organization}, &count.Customers),
				numbers(c, countOfAll, []any{organization}, &count.Existing, &count.Deleted, &count.Versions))
		}
		arguments := []any{organization, customer[:]}
		closed, err := number(c, selectClosed, arguments...)
		if closed < 0 && err == nil {
			err = provider.ErrNoCustomer
		}
		if err != nil {
			return err
		}
		count.Customers = 1 - closed
		var versions int64
		err = errors.Join(numbers(c, countExisting, arguments, &count.Existing, &count.Versions), numbers(c, countDeleted, arguments, &count.Deleted, &versions))
		count.Versions += versions
		return err
	})
	return count, err
}

// numbers reads the integers of a statement with one row.
func numbers(c *sqlite.Conn, statement string, arguments []any, to ...*int64) error {
	return sqlitex.Execute(c, statement, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
		for i := range to {
			*to[i] = s.ColumnInt64(i)
		}
		return nil
	}})
}

// number returns the integer of a statement with one row, -1 if it has none.
func number(c *sqlite.Conn, statement string, arguments ...any) (int64, error) {
	n := int64(-1)
	err := numbers(c, statement, arguments, &n)
	return n, err
}

// scrubTimeout bounds how long Scrub waits for readers and writers.
const scrubTimeout = 10 * time.Second

var errLogInUse = errors.New("sqlite: a reader, such as a backup, keeps old pages in the log; do this again when it has ended")

// Scrub implements [provider.Eraser]: it copies the log into the file and cuts it to nothing. What was removed is then nowhere in the
// files, but for copies that SQLite can leave in the unused room of a page when it moves rows: VACUUM removes those.
func (s *Store) Scrub(ctx context.Context) error {
	for deadline := time.Now().Add(scrubTimeout); ; time.Sleep(lockTimeout) {
		cut, err := s.checks.truncate()
		switch {
		case err != nil:
			return toDomainError(err)
		case cut:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return provider.Unavailable(5*time.Second, errLogInUse)
		}
	}
}
