package sqlite

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// insertOrganization gives a new organization the number after the largest one ever used.
const insertOrganization = `INSERT INTO organizations (id, name)
	SELECT 1 + max((SELECT coalesce(max(id), 0) FROM organizations), (SELECT coalesce(max(id), 0) FROM purged_organizations)), ?1
	WHERE true ON CONFLICT (name) DO NOTHING`

// EnsureOrganization implements [provider.Store].
func (s *Store) EnsureOrganization(ctx context.Context, name string) (number int64, created bool, err error) {
	err = s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, insertOrganization, name); err != nil {
			return err
		}
		created = c.Changes() > 0
		number, err = findOrganization(c, name)
		return err
	})
	return number, created, err
}

// FindOrganization implements [provider.Store].
func (s *Store) FindOrganization(ctx context.Context, name string) (number int64, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		number, err = findOrganization(c, name)
		return err
	})
	return number, err
}

// findOrganization returns the number of the organization of that name, 0 if there is none.
func findOrganization(c *sqlite.Conn, name string) (number int64, err error) {
	err = sqlitex.Execute(c, "SELECT id FROM organizations WHERE name = ?1", &sqlitex.ExecOptions{
		Args:       []any{name},
		ResultFunc: func(s *sqlite.Stmt) error { number = s.ColumnInt64(0); return nil },
	})
	return number, err
}

// ListOrganizations implements [provider.Store].
func (s *Store) ListOrganizations(ctx context.Context) (all []provider.Organization, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, "SELECT id, name, suspended FROM organizations ORDER BY id", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
			all = append(all, provider.Organization{Number: s.ColumnInt64(0), Name: s.ColumnText(1), Suspended: s.ColumnBool(2)})
			return nil
		}})
	})
	return all, err
}

// RenameOrganization implements [provider.Store].
func (s *Store) RenameOrganization(ctx context.Context, number int64, name string) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		err := execute(c, renameOrganization, number, name)
		if sqlite.ErrCode(err) == sqlite.ResultConstraintUnique {
			err = provider.ErrNameTaken
		}
		return err
	})
}

// SuspendOrganization implements [provider.Store].
func (s *Store) SuspendOrganization(ctx context.Context, number int64, suspended bool) error {
	return s.write(ctx, func(c *sqlite.Conn) error { return execute(c, suspendOrganization, number, suspended) })
}

const (
	renameOrganization  = "UPDATE organizations SET name = ?2 WHERE id = ?1"
	suspendOrganization = "UPDATE organizations SET suspended = ?2 WHERE id = ?1"
)
