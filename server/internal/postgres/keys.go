package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/jackc/pgx/v5"
)

var _ apikey.Store = (*Store)(nil)

// CreateKey implements [apikey.Store].
func (s *Store) CreateKey(ctx context.Context, key apikey.Key, hash apikey.Hash) error {
	_, err := s.execute(ctx, insertKey+"VALUES ("+keyParameters+")", keyArguments(key, hash)...)
	return err
}

const (
	insertKey     = "INSERT INTO api_keys (id, organization_id, name, prefix, hash, permissions, rate_limit, created_at, expires_at, revoked_at) "
	keyParameters = "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
)

func keyArguments(key apikey.Key, hash apikey.Hash) []any {
	return []any{key.ID, key.Organization, key.Name, key.Prefix, hash[:], apikey.JoinPermissions(key.Permissions), key.RateLimit,
		wholeMilliseconds(key.CreatedAt), timeOrNull(key.ExpiresAt), timeOrNull(key.RevokedAt)}
}

const selectKeys = `SELECT api_keys.id, organization_id, organizations.name, api_keys.name, prefix, permissions, rate_limit,
	created_at, expires_at, revoked, revoked_at, last_used_at, suspended, coalesce(successor, ''), clock_timestamp()
	FROM api_keys JOIN organizations ON organizations.id = organization_id `

const (
	selectNewKeys = "SELECT hash FROM api_keys WHERE created_at >= $1"
	updateKeyUses = `UPDATE api_keys SET last_used_at = greatest(coalesce(last_used_at, used.at), used.at)
		FROM unnest($1::text[], $2::timestamptz[]) AS used (id, at) WHERE api_keys.id = used.id`
)

// KeyByHash implements [apikey.Store].
func (s *Store) KeyByHash(ctx context.Context, hash apikey.Hash) (apikey.Key, error) {
	return s.key(ctx, selectKeys+"WHERE hash = $1", hash[:])
}

// KeyByID implements [apikey.Store].
func (s *Store) KeyByID(ctx context.Context, id string) (apikey.Key, error) {
	return s.key(ctx, selectKeys+"WHERE api_keys.id = $1", id)
}

func (s *Store) key(ctx context.Context, query string, argument any) (apikey.Key, error) {
	keys, err := read(ctx, s, s.scanKey, query, argument)
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
		return read(ctx, s, s.scanKey, listKeys, after.CreatedAt, after.ID, limit)
	}
	return read(ctx, s, s.scanKey, listKeysOf, after.CreatedAt, after.ID, limit, organization)
}

const (
	keysAfter  = "(created_at, api_keys.id) > ($1, $2) ORDER BY created_at, api_keys.id LIMIT $3"
	listKeys   = selectKeys + "WHERE " + keysAfter
	listKeysOf = selectKeys + "WHERE organization_id = $4 AND " + keysAfter
)

// selectAllKeys sorts only keys of one time: an index has the order.
const selectAllKeys = selectKeys + "ORDER BY created_at, api_keys.id"

// KeyHashes implements [apikey.Store].
func (s *Store) KeyHashes(ctx context.Context, since time.Time) ([]apikey.Hash, time.Time, error) {
	now, err := s.Now(ctx) // before the keys, so that none is missed
	if err != nil {
		return nil, time.Time{}, err
	}
	hashes, err := read(ctx, s, func(row pgx.CollectableRow) (hash apikey.Hash, err error) {
		copy(hash[:], row.RawValues()[0])
		return hash, nil
	}, selectNewKeys, wholeMilliseconds(since))
	return hashes, now, err
}

func (s *Store) scanKey(row pgx.CollectableRow) (key apikey.Key, err error) {
	key, err = scanKey(row)
	if s.now != nil {
		key.ReadAt = wholeMilliseconds(s.now())
	}
	return key, err
}

// scanKey reads the columns of selectKeys.
func scanKey(row pgx.CollectableRow) (key apikey.Key, err error) {
	var (
		permissions                  string
		expiresAt, revokedAt, usedAt *time.Time
	)
	err = row.Scan(&key.ID, &key.Organization, &key.OrganizationName, &key.Name, &key.Prefix, &permissions, &key.RateLimit,
		&key.CreatedAt, &expiresAt, &key.Revoked, &revokedAt, &usedAt, &key.Suspended, &key.Successor, &key.ReadAt)
	key.CreatedAt, key.ReadAt = key.CreatedAt.UTC(), wholeMilliseconds(key.ReadAt)
	key.ExpiresAt, key.RevokedAt, key.LastUsedAt = timeOrZero(expiresAt), timeOrZero(revokedAt), timeOrZero(usedAt)
	key.Permissions = apikey.SplitPermissions(permissions)
	return key, err
}

// Statements about one key, but for deleteEnded.
const (
	revokeKey = "UPDATE api_keys SET revoked = revoked OR $3, revoked_at = least(coalesce(revoked_at, $2), $2) WHERE id = $1"

	// A key is replaced once, while it works. See apikey.Key.CheckRotation, which says what was wrong.
	replaceKey = `WITH old AS (
			UPDATE api_keys SET successor = $1, revoked_at = $12
			WHERE id = $11 AND successor IS NULL AND NOT revoked AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $13)
			RETURNING id
		) ` + insertKey + "SELECT " + keyParameters + " FROM old"

	undoRotation = `WITH next AS (UPDATE api_keys SET revoked = true, revoked_at = least(coalesce(revoked_at, $3), $3) WHERE id = $2)
		UPDATE api_keys SET successor = NULL, revoked_at = NULL WHERE id = $1 AND successor = $2 AND NOT revoked`

	updateKey   = "UPDATE api_keys SET name = coalesce($2, name), rate_limit = coalesce($3, rate_limit) WHERE id = $1"
	deleteEnded = "DELETE FROM api_keys WHERE id = ANY ($1) AND (revoked OR revoked_at <= $2 OR expires_at <= $2)"
)

// RevokeKey implements [apikey.Store].
func (s *Store) RevokeKey(ctx context.Context, id string, after time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	return s.executeOnKey(ctx, revokeKey, id, wholeMilliseconds(now.Add(after)), after <= 0)
}

// RotateKey implements [apikey.Store].
func (s *Store) RotateKey(ctx context.Context, id string, next apikey.Key, hash apikey.Hash, overlap time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	inserted, err := s.execute(ctx, replaceKey, append(keyArguments(next, hash), id, wholeMilliseconds(now.Add(overlap)), wholeMilliseconds(now))...)
	if err != nil || inserted > 0 {
		return err
	}
	key, err := s.KeyByID(ctx, id)
	if err != nil {
		return err
	}
	return cmp.Or(key.CheckRotation(now), apikey.ErrInactive)
}

// UndoRotation implements [apikey.Store].
func (s *Store) UndoRotation(ctx context.Context, id, successor string) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, undoRotation, id, successor, wholeMilliseconds(now))
	return err
}

// UpdateKey implements [apikey.Store].
func (s *Store) UpdateKey(ctx context.Context, id string, update apikey.Update) error {
	return s.executeOnKey(ctx, updateKey, id, update.Name, update.RateLimit)
}

// RemoveKeys implements [apikey.Store].
func (s *Store) RemoveKeys(ctx context.Context, ids []string) (int, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return 0, err
	}
	removed, err := s.execute(ctx, deleteEnded, ids, wholeMilliseconds(now))
	return int(removed), err
}

// executeOnKey runs a statement that changes a key, which must exist.
func (s *Store) executeOnKey(ctx context.Context, statement string, arguments ...any) error {
	changed, err := s.execute(ctx, statement, arguments...)
	if err == nil && changed == 0 {
		err = apikey.ErrNotFound
	}
	return err
}

// RecordKeyUses implements [apikey.Store]. Every server locks the keys in the order of their IDs.
func (s *Store) RecordKeyUses(ctx context.Context, uses map[string]time.Time) error {
	ids := slices.Sorted(maps.Keys(uses))
	times := make([]time.Time, len(ids))
	for i, id := range ids {
		times[i] = wholeMilliseconds(uses[id])
	}
	_, err := s.execute(ctx, updateKeyUses, ids, times)
	return err
}

// execute runs a statement that is a transaction of its own, and returns how many rows it changed.
func (s *Store) execute(ctx context.Context, statement string, arguments ...any) (changed int64, err error) {
	err = s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, statement, arguments...)
		changed = tag.RowsAffected()
		return toCommitError(c, err)
	})
	return changed, err
}

// timeOrNull is a time as the database keeps it; a zero one is null.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(wholeMilliseconds(t))
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// wholeMilliseconds cuts off what a column would round.
func wholeMilliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
