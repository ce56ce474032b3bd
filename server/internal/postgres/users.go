package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/jackc/pgx/v5"
)

var _ account.Store = (*Store)(nil)

const (
	createUser = `WITH created AS (
			INSERT INTO users (id, email, operator, password_hash, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email) DO NOTHING RETURNING id
		), joined AS (
			INSERT INTO memberships (user_id, organization_id, role)
			SELECT id, organization_id, role FROM created, unnest($6::bigint[], $7::text[]) AS m (organization_id, role)
		)
		SELECT id FROM created`

	memberships = "FROM memberships JOIN organizations ON organizations.id = organization_id WHERE user_id = users.id ORDER BY organization_id"
	selectUsers = "SELECT users.id, email, operator, disabled, password_hash, created_at, signed_in_at, totp_secret IS NOT NULL, coalesce(openid_subject, ''), ARRAY(SELECT organization_id " + memberships +
		"), ARRAY(SELECT name " + memberships + "), ARRAY(SELECT suspended " + memberships + "), ARRAY(SELECT role " + memberships + ") FROM users "

	userByID    = selectUsers + "WHERE users.id = $1"
	userByEmail = selectUsers + "WHERE email = $1"
	userByLink  = selectUsers + "WHERE link_hash = $1 AND link_expires_at > $2 AND NOT disabled"
	listUsers   = selectUsers + "WHERE email > $1 ORDER BY email LIMIT $2"
	listMembers = selectUsers + `WHERE id IN (SELECT user_id FROM memberships WHERE organization_id = $3) AND email > $1 ORDER BY email LIMIT $2`

	setRole = `WITH known AS (SELECT id FROM users WHERE id = $1), changed AS (
			INSERT INTO memberships (user_id, organization_id, role) SELECT id, $2, $3 FROM known WHERE $3 <> ''
			ON CONFLICT (user_id, organization_id) DO UPDATE SET role = excluded.role
		), removed AS (
			DELETE FROM memberships WHERE user_id = $1 AND organization_id = $2 AND $3 = ''
		)
		SELECT id FROM known`
	setDisabled = `WITH removed AS (DELETE FROM sessions WHERE user_id = $1)
		UPDATE users SET disabled = $2, link_hash = NULL WHERE id = $1 RETURNING id`
	setSubject  = "UPDATE users SET openid_subject = nullif($3, '') WHERE id = $1 AND coalesce(openid_subject, '') IN ($2, $3) RETURNING id"
	setPassword = `WITH removed AS (DELETE FROM sessions WHERE user_id = $1 AND key <> $3)
		UPDATE users SET password_hash = $2, link_hash = NULL WHERE id = $1 RETURNING id`
	useLink = `WITH used AS (
			UPDATE users SET password_hash = $3, attempts = 0, first_attempt_at = NULL, link_hash = NULL
			WHERE link_hash = $1 AND link_expires_at > $2 AND NOT disabled RETURNING id
		), removed AS (DELETE FROM sessions WHERE user_id IN (SELECT id FROM used))
		SELECT id FROM used`
	setTOTP = `WITH changed AS (
			UPDATE users SET totp_secret = $2, totp_step = $3 WHERE id = $1 AND totp_secret IS NULL RETURNING id
		), added AS (
			INSERT INTO recovery_codes (user_id, hash) SELECT id, hash FROM changed, unnest($4::bytea[]) AS codes (hash)
		), removed AS (DELETE FROM sessions WHERE user_id IN (SELECT id FROM changed) AND key <> $5)
		SELECT id FROM changed`
	removeTOTP = `WITH codes AS (DELETE FROM recovery_codes WHERE user_id = $1), removed AS (DELETE FROM sessions WHERE user_id = $1 AND key <> $2)
		UPDATE users SET totp_secret = NULL, totp_step = 0 WHERE id = $1 RETURNING id`
	findTOTP        = "SELECT totp_secret, (SELECT count(*) FROM recovery_codes WHERE user_id = users.id) FROM users WHERE id = $1 AND totp_secret IS NOT NULL"
	useStep         = "UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2 RETURNING id"
	useRecoveryCode = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2 RETURNING user_id"
	countAttempt    = `UPDATE users SET
			attempts = CASE WHEN first_attempt_at > $3 THEN attempts + 1 ELSE 1 END,
			first_attempt_at = CASE WHEN first_attempt_at > $3 THEN first_attempt_at ELSE $2 END
		WHERE id = $1 RETURNING attempts`
	recordSignIn = "UPDATE users SET attempts = 0, first_attempt_at = NULL, signed_in_at = $2 WHERE id = $1 RETURNING id"
	saveLink     = "UPDATE users SET link_hash = $2, link_expires_at = $3 WHERE id = $1 RETURNING id"

	saveInvitation = `WITH organization AS (SELECT id FROM organizations WHERE id = $2)
		INSERT INTO invitations (hash, organization_id, email, role, expires_at) SELECT $1, id, $3, $4, $5 FROM organization
		ON CONFLICT (organization_id, email) DO UPDATE SET hash = excluded.hash, role = excluded.role, expires_at = excluded.expires_at`
	selectInvitations = "SELECT organization_id, name, email, role, expires_at FROM invitations JOIN organizations ON organizations.id = organization_id "
	findInvitation    = selectInvitations + "WHERE hash = $1 AND expires_at > $2"
	listInvitations   = selectInvitations + "WHERE organization_id = $1 AND expires_at > $2 ORDER BY email"
	removeInvitation  = "DELETE FROM invitations WHERE organization_id = $1 AND email = $2"
	acceptInvitation  = `WITH created AS (
			INSERT INTO users (id, email, operator, password_hash, created_at)
			SELECT $2, email, false, $4, $5 FROM invitations WHERE hash = $1 AND expires_at > $5 AND email = $3
			ON CONFLICT DO NOTHING RETURNING id
		), member AS (
			SELECT id FROM created UNION SELECT id FROM users WHERE id = $2 AND email = $3
		), used AS (
			DELETE FROM invitations USING member WHERE hash = $1 AND expires_at > $5 AND email = $3 RETURNING organization_id, role
		), joined AS (
			INSERT INTO memberships (user_id, organization_id, role) SELECT $2, organization_id, role FROM used
			ON CONFLICT (user_id, organization_id) DO UPDATE SET role = excluded.role
		)
		SELECT $2 FROM used`

	createSession = `WITH expired AS (
			DELETE FROM sessions WHERE key IN (SELECT key FROM sessions WHERE expires_at <= $4 ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)
		)
		INSERT INTO sessions (key, user_id, data, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $4, $5)`
	updateSession  = "UPDATE sessions SET data = $2, seen_at = $3, expires_at = $4 WHERE key = $1"
	selectSessions = "SELECT key, user_id, data, created_at, seen_at, expires_at FROM sessions "
	findSession    = selectSessions + "WHERE key = $1 AND expires_at > $2"
	listSessions   = selectSessions + "WHERE user_id = $1 AND expires_at > $2"
)

// CreateUser implements [account.Store].
func (s *Store) CreateUser(ctx context.Context, u account.User) error {
	organizations, roles := make([]int64, len(u.Memberships)), make([]string, len(u.Memberships))
	for i, m := range u.Memberships {
		organizations[i], roles[i] = m.Organization, string(m.Role)
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = change[string](ctx, s, account.ErrEmailTaken, createUser, u.ID, u.Email, u.Operator, u.PasswordHash, wholeMilliseconds(now), organizations, roles)
	return err
}

// UserByID implements [account.Store].
func (s *Store) UserByID(ctx context.Context, id string) (account.User, error) {
	return s.user(ctx, account.ErrNotFound, userByID, id)
}

// UserByEmail implements [account.Store].
func (s *Store) UserByEmail(ctx context.Context, email string) (account.User, error) {
	return s.user(ctx, account.ErrNotFound, userByEmail, email)
}

// UserByLink implements [account.Store].
func (s *Store) UserByLink(ctx context.Context, hash account.Hash) (account.User, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return account.User{}, err
	}
	return s.user(ctx, account.ErrInvalidLink, userByLink, hash[:], now)
}

// ListUsers implements [account.Store].
func (s *Store) ListUsers(ctx context.Context, organization int64, after string, limit int) ([]account.User, error) {
	if organization == 0 {
		return read(ctx, s, scanUser, listUsers, after, limit)
	}
	return read(ctx, s, scanUser, listMembers, after, limit, organization)
}

// HasUsers implements [account.Store].
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	found, err := read(ctx, s, pgx.RowTo[bool], "SELECT EXISTS (SELECT FROM users)")
	return err == nil && found[0], err
}

func (s *Store) user(ctx context.Context, none error, query string, arguments ...any) (account.User, error) {
	users, err := read(ctx, s, scanUser, query, arguments...)
	if err == nil && len(users) == 0 {
		err = none
	}
	if err != nil {
		return account.User{}, err
	}
	return users[0], nil
}

func scanUser(row pgx.CollectableRow) (u account.User, err error) {
	var (
		signedInAt    *time.Time
		organizations []int64
		names, roles  []string
		suspended     []bool
	)
	err = row.Scan(&u.ID, &u.Email, &u.Operator, &u.Disabled, &u.PasswordHash, &u.CreatedAt, &signedInAt, &u.TwoStep, &u.Subject, &organizations, &names, &suspended, &roles)
	u.CreatedAt, u.SignedInAt = u.CreatedAt.UTC(), timeOrZero(signedInAt)
	for i, number := range organizations {
		u.Memberships = append(u.Memberships, account.Membership{Organization: number, OrganizationName: names[i], Suspended: suspended[i], Role: account.Role(roles[i])})
	}
	return u, err
}

// change runs a statement that is a transaction of its own, and returns its one row. The error is none if there is no row.
func change[T any](ctx context.Context, s *Store, none error, statement string, arguments ...any) (result T, _ error) {
	var all []T
	err := s.write(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, statement, arguments...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowTo[T])
		return toCommitError(c, err)
	})
	if err == nil && len(all) == 0 {
		err = none
	}
	if err != nil {
		return result, err
	}
	return all[0], nil
}

// SetRole implements [account.Store].
func (s *Store) SetRole(ctx context.Context, id string, organization int64, role account.Role) error {
	_, err := change[string](ctx, s, account.ErrNotFound, setRole, id, organization, string(role))
	return err
}

// SetDisabled implements [account.Store].
func (s *Store) SetDisabled(ctx context.Context, id string, disabled bool) error {
	_, err := change[string](ctx, s, account.ErrNotFound, setDisabled, id, disabled)
	return err
}

// SetSubject implements [account.Store].
func (s *Store) SetSubject(ctx context.Context, id, from, to string) error {
	_, err := change[string](ctx, s, account.ErrNotFound, setSubject, id, from, to)
	return err
}

// SetPassword implements [account.Store].
func (s *Store) SetPassword(ctx context.Context, id, passwordHash, keep string) error {
	_, err := change[string](ctx, s, account.ErrNotFound, setPassword, id, passwordHash, keep)
	return err
}

// SetTOTP implements [account.Store].
func (s *Store) SetTOTP(ctx context.Context, id string, t account.TOTP, step account.Step, recovery []account.Hash, keep string) error {
	hashes := make([][]byte, len(recovery))
	for i := range recovery {
		hashes[i] = recovery[i][:]
	}
	_, err := change[string](ctx, s, account.ErrNotFound, setTOTP, id, t.Secret, step, hashes, keep)
	return err
}

// RemoveTOTP implements [account.Store].
func (s *Store) RemoveTOTP(ctx context.Context, id, keep string) error {
	_, err := change[string](ctx, s, account.ErrNotFound, removeTOTP, id, keep)
	return err
}

// FindTOTP implements [account.Store].
func (s *Store) FindTOTP(ctx context.Context, id string) (account.TOTP, error) {
	found, err := read(ctx, s, pgx.RowToStructByPos[account.TOTP], findTOTP, id)
	if err == nil && len(found) == 0 {
		err = account.ErrNotFound
	}
	if err != nil {
		return account.TOTP{}, err
	}
	return found[0], nil
}

// UseStep implements [account.Store].
func (s *Store) UseStep(ctx context.Context, id string, step account.Step) error {
	_, err := change[string](ctx, s, account.ErrCode, useStep, id, step)
	return err
}

// UseRecoveryCode implements [account.Store].
func (s *Store) UseRecoveryCode(ctx context.Context, id string, hash account.Hash) error {
	_, err := change[string](ctx, s, account.ErrCode, useRecoveryCode, id, hash[:])
	return err
}

// CountAttempt implements [account.Store].
func (s *Store) CountAttempt(ctx context.Context, id string, window time.Duration) (int, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return 0, err
	}
	attempts, err := change[int64](ctx, s, account.ErrNotFound, countAttempt, id, wholeMilliseconds(now), wholeMilliseconds(now.Add(-window)))
	return int(attempts), err
}

// RecordSignIn implements [account.Store].
func (s *Store) RecordSignIn(ctx context.Context, id string) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = change[string](ctx, s, account.ErrNotFound, recordSignIn, id, wholeMilliseconds(now))
	return err
}

// SaveLink implements [account.Store].
func (s *Store) SaveLink(ctx context.Context, hash account.Hash, id string, lifetime time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = change[string](ctx, s, account.ErrNotFound, saveLink, id, hash[:], wholeMilliseconds(now.Add(lifetime)))
	return err
}

// UseLink implements [account.Store].
func (s *Store) UseLink(ctx context.Context, hash account.Hash, passwordHash string) (account.User, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return account.User{}, err
	}
	id, err := change[string](ctx, s, account.ErrInvalidLink, useLink, hash[:], now, passwordHash)
	if err != nil {
		return account.User{}, err
	}
	return s.UserByID(ctx, id)
}

// SaveInvitation implements [account.Store].
func (s *Store) SaveInvitation(ctx context.Context, hash account.Hash, i account.Invitation, lifetime time.Duration) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, saveInvitation, hash[:], i.Organization, i.Email, string(i.Role), wholeMilliseconds(now.Add(lifetime)))
	return err
}

// FindInvitation implements [account.Store].
func (s *Store) FindInvitation(ctx context.Context, hash account.Hash) (account.Invitation, error) {
	found, err := s.invitations(ctx, findInvitation, hash[:])
	if err == nil && len(found) == 0 {
		err = account.ErrInvalidLink
	}
	if err != nil {
		return account.Invitation{}, err
	}
	return found[0], nil
}

// ListInvitations implements [account.Store].
func (s *Store) ListInvitations(ctx context.Context, organization int64) ([]account.Invitation, error) {
	return s.invitations(ctx, listInvitations, organization)
}

func (s *Store) invitations(ctx context.Context, query string, argument any) ([]account.Invitation, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, func(row pgx.CollectableRow) (i account.Invitation, err error) {
		err = row.Scan(&i.Organization, &i.OrganizationName, &i.Email, &i.Role, &i.ExpiresAt)
		i.ExpiresAt = i.ExpiresAt.UTC()
		return i, err
	}, query, argument, now)
}

// RemoveInvitation implements [account.Store].
func (s *Store) RemoveInvitation(ctx context.Context, organization int64, email string) error {
	_, err := s.execute(ctx, removeInvitation, organization, email)
	return err
}

// AcceptInvitation implements [account.Store].
func (s *Store) AcceptInvitation(ctx context.Context, hash account.Hash, u account.User) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = change[string](ctx, s, account.ErrInvalidLink, acceptInvitation, hash[:], u.ID, u.Email, u.PasswordHash, wholeMilliseconds(now))
	if errors.Is(err, account.ErrInvalidLink) {
		if _, found := s.FindInvitation(ctx, hash); found == nil {
			err = account.ErrEmailTaken
		}
	}
	return err
}

// CreateSession implements [account.Store]. It removes some sessions that have expired, more than it adds.
func (s *Store) CreateSession(ctx context.Context, session account.Session) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, createSession, session.Key, session.UserID, session.Data, wholeMilliseconds(now), wholeMilliseconds(session.ExpiresAt))
	return err
}

// UpdateSession implements [account.Store].
func (s *Store) UpdateSession(ctx context.Context, session account.Session) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, updateSession, session.Key, session.Data, wholeMilliseconds(now), wholeMilliseconds(session.ExpiresAt))
	return err
}

// FindSession implements [account.Store].
func (s *Store) FindSession(ctx context.Context, key string) (account.Session, bool, error) {
	sessions, err := s.sessions(ctx, findSession, key)
	if err != nil || len(sessions) == 0 {
		return account.Session{}, false, err
	}
	return sessions[0], true, nil
}

// ListSessions implements [account.Store].
func (s *Store) ListSessions(ctx context.Context, userID string) ([]account.Session, error) {
	sessions, err := s.sessions(ctx, listSessions, userID)
	account.SortSessions(sessions)
	return sessions, err
}

func (s *Store) sessions(ctx context.Context, query, argument string) ([]account.Session, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, func(row pgx.CollectableRow) (one account.Session, err error) {
		err = row.Scan(&one.Key, &one.UserID, &one.Data, &one.CreatedAt, &one.SeenAt, &one.ExpiresAt)
		one.CreatedAt, one.SeenAt, one.ExpiresAt = one.CreatedAt.UTC(), one.SeenAt.UTC(), one.ExpiresAt.UTC()
		return one, err
	}, query, argument, wholeMilliseconds(now))
}

// RemoveSession implements [account.Store].
func (s *Store) RemoveSession(ctx context.Context, userID, key string) error {
	_, err := s.execute(ctx, "DELETE FROM sessions WHERE key = $1 AND user_id = $2", key, userID)
	return err
}
