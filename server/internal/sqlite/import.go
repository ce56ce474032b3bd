package sqlite

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	sharedFor     = 4 * time.Second // after another process has written
	sharedImports = 250             // records of a transaction then
)

// letOthersWrite reports whether another process has written lately. Then it pauses for as long as that needs to notice that the
// file is not locked.
func (s *Store) letOthersWrite() (shared bool, _ error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.repairWriter(); err != nil {
		return false, toDomainError(err)
	}
	before := s.dataVersion
	err := sqlitex.Execute(s.writer, "PRAGMA data_version", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		s.dataVersion = row.ColumnInt64(0)
		return nil
	}})
	if now := time.Now(); before == 0 { // until it is known
		s.sharedUntil = now.Add(sharedFor / 4)
	} else if s.dataVersion != before {
		s.sharedUntil = now.Add(sharedFor)
	}
	if shared = time.Now().Before(s.sharedUntil); shared {
		time.Sleep(3 * lockInterval)
	}
	return shared, toDomainError(err)
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
			if err := s.save(c, organization, current, &next, event); err != nil {
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

// ensureCustomer creates a customer unless it exists, opens one that was purged, and adds it to known.
func ensureCustomer(c *sqlite.Conn, organization int64, customer uuid.UUID, known map[uuid.UUID]bool) error {
	if known[customer] {
		return nil
	}
	known[customer] = true
	if err := execute(c, openCustomer, organization, customer[:]); err != nil {
		return err
	}
	return execute(c, insertCustomer, organization, customer[:])
}
