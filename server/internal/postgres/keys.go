package postgres

import (
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
	_, err := s.execute(ctx, `INSERT INTO api_keys (id, organization_id, name, prefix, hash, permissions, rate_limit, created_at, expires_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		key.ID, key.Organization, key.Name, key.Prefix, hash[:], apikey.JoinPermissions(key.Permissions), key.RateLimit,
		wholeMilliseconds(key.CreatedAt), timeOrNull(key.ExpiresAt), timeOrNull(key.RevokedAt))
	return err
}

const selectKeys = `SELECT api_keys.id, organization_id, organizations.name, api_keys.name, prefix, permissions, rate_limit,
	created_at, expires_at, revoked, revoked_at, last_used_at, clock_timestamp()
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
func (s *Store) ListKeys(ctx context.Context, after apikey.Key, limit int) ([]apikey.Key, error) {
	return read(ctx, s, s.scanKey, listKeys, after.CreatedAt, after.ID, limit)
}

const listKeys = selectKeys + "WHERE (created_at, api_keys.id) > ($1, $2) ORDER BY created_at, api_keys.id LIMIT $3"

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
	var (
		permissions                  string
		expiresAt, revokedAt, usedAt *time.Time
	)
	err = row.Scan(&key.ID, &key.Organization, &key.OrganizationName, &key.Name, &key.Prefix, &permissions, &key.RateLimit,
		&key.CreatedAt, &expiresAt, &key.Revoked, &revokedAt, &usedAt, &key.ReadAt)
	if s.now != nil {
		key.ReadAt = s.now()
	}
	key.CreatedAt, key.ReadAt = key.CreatedAt.UTC(), wholeMilliseconds(key.ReadAt)
	key.ExpiresAt, key.RevokedAt, key.LastUsedAt = timeOrZero(expiresAt), timeOrZero(revokedAt), timeOrZero(usedAt)
	key.Permissions = apikey.SplitPermissions(permissions)
	return key, err
}

// RevokeKey implements [apikey.Store].
func (s *Store) RevokeKey(ctx context.Context, id string, after time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	changed, err := s.execute(ctx, "UPDATE api_keys SET revoked = revoked OR $3, revoked_at = least(coalesce(revoked_at, $2), $2) WHERE id = $1",
		id, wholeMilliseconds(now.Add(after)), after <= 0)
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
