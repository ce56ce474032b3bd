package sqlite

import (
	"cmp"
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ apikey.Store = (*Store)(nil)

// CreateKey implements [apikey.Store].
func (s *Store) CreateKey(ctx context.Context, key apikey.Key, hash apikey.Hash) error {
	return s.write(ctx, func(c *sqlite.Conn) error { return insertKey(c, key, hash) })
}

func insertKey(c *sqlite.Conn, key apikey.Key, hash apikey.Hash) error {
	return execute(c, `INSERT INTO api_keys (id, organization_id, name, prefix, hash, permissions, rate_limit, created_at, expires_at, revoked_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,
		key.ID, key.Organization, key.Name, key.Prefix, hash[:], apikey.JoinPermissions(key.Permissions), key.RateLimit,
		key.CreatedAt.UnixMilli(), milliseconds(key.ExpiresAt), milliseconds(key.RevokedAt))
}

const selectKeys = `SELECT api_keys.id, organization_id, organizations.name, api_keys.name, prefix, permissions, rate_limit,
	created_at, expires_at, revoked, revoked_at, last_used_at, suspended, successor
	FROM api_keys JOIN organizations ON organizations.id = organization_id `

// KeyByHash implements [apikey.Store].
func (s *Store) KeyByHash(ctx context.Context, hash apikey.Hash) (apikey.Key, error) {
	return s.key(ctx, selectKeys+"WHERE hash = ?1", hash[:])
}

// KeyByID implements [apikey.Store].
func (s *Store) KeyByID(ctx context.Context, id string) (apikey.Key, error) {
	return s.key(ctx, selectKeys+"WHERE api_keys.id = ?1", id)
}

func (s *Store) key(ctx context.Context, query string, argument any) (apikey.Key, error) {
	keys, err := s.keys(ctx, query, argument)
	if err == nil && len(keys) == 0 {
		err = apikey.ErrNotFound
	}
	if err != nil {
		return apikey.Key{}, err
	}
	return keys[0], nil
}

// ListKeys implements [apikey.Store].
func (s *Store) ListKeys(ctx context.Context, organization int64, after apikey.Key, limit int) ([]apikey.Key, error) {
	if organization == 0 {
		return s.keys(ctx, listKeys, after.CreatedAt.UnixMilli(), after.ID, limit)
	}
	return s.keys(ctx, listKeysOf, after.CreatedAt.UnixMilli(), after.ID, limit, organization)
}

const (
	keysAfter  = "(created_at, api_keys.id) > (?1, ?2) ORDER BY created_at, api_keys.id LIMIT ?3"
	listKeys   = selectKeys + "WHERE " + keysAfter
	listKeysOf = selectKeys + "WHERE organization_id = ?4 AND " + keysAfter
)

// selectAllKeys sorts nothing: the index has the order.
const selectAllKeys = selectKeys + "ORDER BY created_at, api_keys.id"

func (s *Store) keys(ctx context.Context, query string, arguments ...any) ([]apikey.Key, error) {
	var keys []apikey.Key
	now := s.now().UTC().Truncate(time.Millisecond)
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, query, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
			keys = append(keys, scanKey(s, now))
			return nil
		}})
	})
	return keys, err
}

// scanKey reads the columns of selectKeys.
func scanKey(s *sqlite.Stmt, now time.Time) apikey.Key {
	return apikey.Key{
		ID:               s.ColumnText(0),
		Organization:     s.ColumnInt64(1),
		OrganizationName: s.ColumnText(2),
		Name:             s.ColumnText(3),
		Prefix:           s.ColumnText(4),
		Permissions:      apikey.SplitPermissions(s.ColumnText(5)),
		RateLimit:        s.ColumnInt(6),
		CreatedAt:        time.UnixMilli(s.ColumnInt64(7)).UTC(),
		ExpiresAt:        columnTime(s, 8),
		Revoked:          s.ColumnBool(9),
		RevokedAt:        columnTime(s, 10),
		LastUsedAt:       columnTime(s, 11),
		Suspended:        s.ColumnBool(12),
		Successor:        s.ColumnText(13),
		ReadAt:           now,
	}
}

const selectNewKeys = "SELECT hash FROM api_keys WHERE created_at >= ?1"

// KeyHashes implements [apikey.Store].
func (s *Store) KeyHashes(ctx context.Context, since time.Time) (hashes []apikey.Hash, now time.Time, _ error) {
	now = s.now() // before the keys, so that none is missed
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, selectNewKeys, &sqlitex.ExecOptions{Args: []any{since.UnixMilli()}, ResultFunc: func(s *sqlite.Stmt) error {
			var hash apikey.Hash
			s.ColumnBytes(0, hash[:])
			hashes = append(hashes, hash)
			return nil
		}})
	})
	return hashes, now, err
}

// Now implements [apikey.Store]. All processes that have the file open are on one machine, and have its clock.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

// RevokeKey implements [apikey.Store].
func (s *Store) RevokeKey(ctx context.Context, id string, after time.Duration) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		return executeOnKey(c, revokeKey, id, s.now().Add(after).UnixMilli(), after <= 0)
	})
}

// A key is replaced once, while it works. See apikey.Key.CheckRotation, which says what was wrong.
const replaceKey = `UPDATE api_keys SET successor = ?2, revoked_at = ?3
	WHERE id = ?1 AND successor IS NULL AND NOT revoked AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?4)`

// RotateKey implements [apikey.Store].
func (s *Store) RotateKey(ctx context.Context, id string, next apikey.Key, hash apikey.Hash, overlap time.Duration) error {
	replaced := false
	err := s.write(ctx, func(c *sqlite.Conn) error {
		now := s.now()
		if err := execute(c, replaceKey, id, next.ID, now.Add(overlap).UnixMilli(), now.UnixMilli()); err != nil {
			return err
		}
		if replaced = c.Changes() > 0; !replaced {
			return nil
		}
		return insertKey(c, next, hash)
	})
	if err != nil || replaced {
		return err
	}
	key, err := s.KeyByID(ctx, id)
	if err != nil {
		return err
	}
	return cmp.Or(key.CheckRotation(key.ReadAt), apikey.ErrInactive)
}

const (
	revokeKey   = "UPDATE api_keys SET revoked = revoked OR ?3, revoked_at = min(coalesce(revoked_at, ?2), ?2) WHERE id = ?1"
	unreplace   = "UPDATE api_keys SET successor = NULL, revoked_at = NULL WHERE id = ?1 AND successor = ?2 AND NOT revoked"
	updateKey   = "UPDATE api_keys SET name = coalesce(?2, name), rate_limit = coalesce(?3, rate_limit) WHERE id = ?1"
	deleteEnded = "DELETE FROM api_keys WHERE id = ?1 AND (revoked OR revoked_at <= ?2 OR expires_at <= ?2)"
)

// UndoRotation implements [apikey.Store].
func (s *Store) UndoRotation(ctx context.Context, id, successor string) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, revokeKey, successor, s.now().UnixMilli(), true); err != nil {
			return err
		}
		return execute(c, unreplace, id, successor)
	})
}

// UpdateKey implements [apikey.Store].
func (s *Store) UpdateKey(ctx context.Context, id string, update apikey.Update) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		var name, limit any
		if update.Name != nil {
			name = *update.Name
		}
		if update.RateLimit != nil {
			limit = *update.RateLimit
		}
		return executeOnKey(c, updateKey, id, name, limit)
	})
}

// RemoveKeys implements [apikey.Store].
func (s *Store) RemoveKeys(ctx context.Context, ids []string) (removed int, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		now := s.now().UnixMilli()
		for _, id := range ids {
			if err := execute(c, deleteEnded, id, now); err != nil {
				return err
			}
			removed += c.Changes()
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// executeOnKey runs a statement that changes a key, which must exist.
func executeOnKey(c *sqlite.Conn, statement string, arguments ...any) error {
	err := execute(c, statement, arguments...)
	if err == nil && c.Changes() == 0 {
		err = apikey.ErrNotFound
	}
	return err
}

// RecordKeyUses implements [apikey.Store].
func (s *Store) RecordKeyUses(ctx context.Context, uses map[string]time.Time) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		for id, at := range uses {
			if err := execute(c, "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, ?2), ?2) WHERE id = ?1", id, at.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// milliseconds is a time as the database keeps it; a zero one is null.
func milliseconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func columnTime(s *sqlite.Stmt, column int) time.Time {
	if s.ColumnIsNull(column) {
		return time.Time{}
	}
	return time.UnixMilli(s.ColumnInt64(column)).UTC()
}
