package sqlite

import (
	"context"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var _ account.Store = (*Store)(nil)

// CreateUser implements [account.Store].
func (s *Store) CreateUser(ctx context.Context, u account.User) error {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		err := execute(c, "INSERT INTO users (id, email, operator, password_hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (email) DO NOTHING",
			u.ID, u.Email, u.Operator, u.PasswordHash, s.now().UnixMilli())
		if err == nil && c.Changes() == 0 {
			err = account.ErrEmailTaken
		}
		for _, m := range u.Memberships {
			if err == nil {
				err = execute(c, insertMembership, u.ID, m.Organization, string(m.Role))
			}
		}
		return err
	})
	return err
}

const (
	selectUsers = `SELECT users.id, email, operator, disabled, password_hash, created_at, signed_in_at, totp_secret IS NOT NULL, openid_subject FROM users `

	userByID    = selectUsers + "WHERE users.id = ?1"
	userByEmail = selectUsers + "WHERE email = ?1"
	userByLink  = selectUsers + "WHERE link_hash = ?1 AND link_expires_at > ?2 AND NOT disabled"
	listUsers   = selectUsers + "WHERE email > ?1 ORDER BY email LIMIT ?2"
	listMembers = selectUsers + `JOIN (SELECT user_id FROM memberships WHERE organization_id = ?3) ON user_id = users.id
		WHERE email > ?1 ORDER BY email LIMIT ?2`

	selectMemberships = `SELECT organization_id, name, suspended, role FROM memberships JOIN organizations ON organizations.id = organization_id
		WHERE user_id = ?1 ORDER BY organization_id`
	insertMembership = `INSERT INTO memberships (user_id, organization_id, role) VALUES (?1, ?2, ?3)
		ON CONFLICT (user_id, organization_id) DO UPDATE SET role = excluded.role`
)

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
	return s.user(ctx, account.ErrInvalidLink, userByLink, hash[:], s.now().UnixMilli())
}

// ListUsers implements [account.Store].
func (s *Store) ListUsers(ctx context.Context, organization int64, after string, limit int) (users []account.User, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		if organization == 0 {
			users, err = findUsers(c, listUsers, after, limit)
		} else {
			users, err = findUsers(c, listMembers, after, limit, organization)
		}
		return err
	})
	return users, err
}

// HasUsers implements [account.Store].
func (s *Store) HasUsers(ctx context.Context) (has bool, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, "SELECT 1 FROM users LIMIT 1", &sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { has = true; return nil }})
	})
	return has, err
}

func (s *Store) user(ctx context.Context, none error, query string, arguments ...any) (u account.User, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		users, err := findUsers(c, query, arguments...)
		if err == nil && len(users) == 0 {
			err = none
		}
		if err == nil {
			u = users[0]
		}
		return err
	})
	return u, err
}

func findUsers(c *sqlite.Conn, query string, arguments ...any) (users []account.User, _ error) {
	err := sqlitex.Execute(c, query, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
		users = append(users, account.User{
			ID: s.ColumnText(0), Email: s.ColumnText(1), Operator: s.ColumnBool(2), Disabled: s.ColumnBool(3), PasswordHash: s.ColumnText(4),
			CreatedAt: columnTime(s, 5), SignedInAt: columnTime(s, 6), TwoStep: s.ColumnBool(7), Subject: s.ColumnText(8),
		})
		return nil
	}})
	for i := range users {
		if err != nil {
			break
		}
		u := &users[i]
		err = sqlitex.Execute(c, selectMemberships, &sqlitex.ExecOptions{Args: []any{u.ID}, ResultFunc: func(s *sqlite.Stmt) error {
			u.Memberships = append(u.Memberships, account.Membership{
				Organization: s.ColumnInt64(0), OrganizationName: s.ColumnText(1), Suspended: s.ColumnBool(2), Role: account.Role(s.ColumnText(3)),
			})
			return nil
		}})
	}
	return users, err
}

// SetRole implements [account.Store].
func (s *Store) SetRole(ctx context.Context, id string, organization int64, role account.Role) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		if users, err := findUsers(c, userByID, id); err != nil || len(users) == 0 {
			return orNotFound(err)
		}
		if role == "" {
			return execute(c, "DELETE FROM memberships WHERE user_id = ?1 AND organization_id = ?2", id, organization)
		}
		return execute(c, insertMembership, id, organization, string(role))
	})
}

// SetDisabled implements [account.Store].
func (s *Store) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return s.changeUser(ctx, "UPDATE users SET disabled = ?2, link_hash = NULL WHERE id = ?1", func(c *sqlite.Conn) error {
		return execute(c, removeOtherSessions, id, "")
	}, id, disabled)
}

// SetPassword implements [account.Store].
func (s *Store) SetPassword(ctx context.Context, id, passwordHash, keep string) error {
	return s.changeUser(ctx, setPassword, func(c *sqlite.Conn) error {
		return execute(c, removeOtherSessions, id, keep)
	}, id, passwordHash)
}

// SetSubject implements [account.Store].
func (s *Store) SetSubject(ctx context.Context, id, from, to string) error {
	return s.changeUser(ctx, setSubject, nil, id, from, to)
}

const (
	setSubject          = "UPDATE users SET openid_subject = nullif(?3, '') WHERE id = ?1 AND coalesce(openid_subject, '') IN (?2, ?3)"
	setPassword         = "UPDATE users SET password_hash = ?2, link_hash = NULL WHERE id = ?1"
	forgetAttempts      = "UPDATE users SET attempts = 0, first_attempt_at = NULL WHERE id = ?1"
	removeOtherSessions = "DELETE FROM sessions WHERE user_id = ?1 AND key <> ?2"
)

// changeUser runs a statement that changes one user, and then f.
func (s *Store) changeUser(ctx context.Context, statement string, f func(*sqlite.Conn) error, arguments ...any) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, statement, arguments...); err != nil || c.Changes() == 0 {
			return orNotFound(err)
		}
		if f == nil {
			return nil
		}
		return f(c)
	})
}

func orNotFound(err error) error {
	if err == nil {
		return account.ErrNotFound
	}
	return err
}

// CountAttempt implements [account.Store].
func (s *Store) CountAttempt(ctx context.Context, id string, window time.Duration) (attempts int, _ error) {
	now := s.now()
	err := s.write(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, countAttempt, &sqlitex.ExecOptions{
			Args:       []any{id, now.UnixMilli(), now.Add(-window).UnixMilli()},
			ResultFunc: func(s *sqlite.Stmt) error { attempts = s.ColumnInt(0); return nil },
		})
	})
	return attempts, err
}

const countAttempt = `UPDATE users SET
	attempts = CASE WHEN coalesce(first_attempt_at, 0) > ?3 THEN attempts + 1 ELSE 1 END,
	first_attempt_at = CASE WHEN coalesce(first_attempt_at, 0) > ?3 THEN first_attempt_at ELSE ?2 END
	WHERE id = ?1 RETURNING attempts`

// RecordSignIn implements [account.Store].
func (s *Store) RecordSignIn(ctx context.Context, id string) error {
	return s.changeUser(ctx, "UPDATE users SET attempts = 0, first_attempt_at = NULL, signed_in_at = ?2 WHERE id = ?1", nil, id, s.now().UnixMilli())
}

// SaveLink implements [account.Store].
func (s *Store) SaveLink(ctx context.Context, hash account.Hash, id string, lifetime time.Duration) error {
	return s.changeUser(ctx, "UPDATE users SET link_hash = ?2, link_expires_at = ?3 WHERE id = ?1", nil, id, hash[:], s.now().Add(lifetime).UnixMilli())
}

// UseLink implements [account.Store].
func (s *Store) UseLink(ctx context.Context, hash account.Hash, passwordHash string) (u account.User, _ error) {
	err := s.write(ctx, func(c *sqlite.Conn) error {
		users, err := findUsers(c, userByLink, hash[:], s.now().UnixMilli())
		if err == nil && len(users) == 0 {
			err = account.ErrInvalidLink
		}
		if err != nil {
			return err
		}
		u = users[0]
		u.PasswordHash = passwordHash
		if err := execute(c, setPassword, u.ID, passwordHash); err != nil {
			return err
		}
		if err := execute(c, forgetAttempts, u.ID); err != nil {
			return err
		}
		return execute(c, removeOtherSessions, u.ID, "")
	})
	return u, err
}

const (
	setTOTP             = "UPDATE users SET totp_secret = ?2, totp_step = ?3 WHERE id = ?1 AND totp_secret IS NULL"
	findTOTP            = "SELECT totp_secret, (SELECT count(*) FROM recovery_codes WHERE user_id = users.id) FROM users WHERE id = ?1 AND totp_secret IS NOT NULL"
	useStep             = "UPDATE users SET totp_step = ?2 WHERE id = ?1 AND totp_step < ?2"
	useRecoveryCode     = "DELETE FROM recovery_codes WHERE user_id = ?1 AND hash = ?2"
	removeRecoveryCodes = "DELETE FROM recovery_codes WHERE user_id = ?1"
)

// SetTOTP implements [account.Store].
func (s *Store) SetTOTP(ctx context.Context, id string, t account.TOTP, step account.Step, recovery []account.Hash, keep string) error {
	return s.changeUser(ctx, setTOTP, func(c *sqlite.Conn) error {
		for _, hash := range recovery {
			if err := execute(c, "INSERT INTO recovery_codes (user_id, hash) VALUES (?1, ?2)", id, hash[:]); err != nil {
				return err
			}
		}
		return execute(c, removeOtherSessions, id, keep)
	}, id, t.Secret, int64(step))
}

// RemoveTOTP implements [account.Store].
func (s *Store) RemoveTOTP(ctx context.Context, id, keep string) error {
	return s.changeUser(ctx, "UPDATE users SET totp_secret = NULL, totp_step = 0 WHERE id = ?1", func(c *sqlite.Conn) error {
		if err := execute(c, removeRecoveryCodes, id); err != nil {
			return err
		}
		return execute(c, removeOtherSessions, id, keep)
	}, id)
}

// FindTOTP implements [account.Store].
func (s *Store) FindTOTP(ctx context.Context, id string) (t account.TOTP, _ error) {
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, findTOTP, &sqlitex.ExecOptions{Args: []any{id}, ResultFunc: func(s *sqlite.Stmt) error {
			t = account.TOTP{Secret: s.ColumnText(0), RecoveryCodes: s.ColumnInt(1)}
			return nil
		}})
	})
	if err == nil && t.Secret == "" {
		err = account.ErrNotFound
	}
	return t, err
}

// UseStep implements [account.Store].
func (s *Store) UseStep(ctx context.Context, id string, step account.Step) error {
	return s.useCode(ctx, useStep, id, int64(step))
}

// UseRecoveryCode implements [account.Store].
func (s *Store) UseRecoveryCode(ctx context.Context, id string, hash account.Hash) error {
	return s.useCode(ctx, useRecoveryCode, id, hash[:])
}

// useCode runs a statement that changes a row if a code can be used.
func (s *Store) useCode(ctx context.Context, statement string, arguments ...any) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		err := execute(c, statement, arguments...)
		if err == nil && c.Changes() == 0 {
			err = account.ErrCode
		}
		return err
	})
}

// SaveInvitation implements [account.Store].
func (s *Store) SaveInvitation(ctx context.Context, hash account.Hash, i account.Invitation, lifetime time.Duration) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, removeInvitation, i.Organization, i.Email); err != nil {
			return err
		}
		return execute(c, "INSERT INTO invitations (hash, organization_id, email, role, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
			hash[:], i.Organization, i.Email, string(i.Role), s.now().Add(lifetime).UnixMilli())
	})
}

const (
	selectInvitations = `SELECT organization_id, name, email, role, expires_at FROM invitations JOIN organizations ON organizations.id = organization_id `
	findInvitation    = selectInvitations + "WHERE hash = ?1 AND expires_at > ?2"
	listInvitations   = selectInvitations + "WHERE organization_id = ?1 AND expires_at > ?2 ORDER BY email"
	removeInvitation  = "DELETE FROM invitations WHERE organization_id = ?1 AND email = ?2"
)

// FindInvitation implements [account.Store].
func (s *Store) FindInvitation(ctx context.Context, hash account.Hash) (found account.Invitation, _ error) {
	err := s.read(ctx, func(c *sqlite.Conn) (err error) {
		found, err = s.findInvitation(c, hash)
		return err
	})
	return found, err
}

func (s *Store) findInvitation(c *sqlite.Conn, hash account.Hash) (account.Invitation, error) {
	found, err := invitations(c, findInvitation, hash[:], s.now().UnixMilli())
	if err == nil && len(found) == 0 {
		err = account.ErrInvalidLink
	}
	if err != nil {
		return account.Invitation{}, err
	}
	return found[0], nil
}

// ListInvitations implements [account.Store].
func (s *Store) ListInvitations(ctx context.Context, organization int64) (found []account.Invitation, _ error) {
	err := s.read(ctx, func(c *sqlite.Conn) (err error) {
		found, err = invitations(c, listInvitations, organization, s.now().UnixMilli())
		return err
	})
	return found, err
}

func invitations(c *sqlite.Conn, query string, arguments ...any) (found []account.Invitation, _ error) {
	err := sqlitex.Execute(c, query, &sqlitex.ExecOptions{Args: arguments, ResultFunc: func(s *sqlite.Stmt) error {
		found = append(found, account.Invitation{
			Organization: s.ColumnInt64(0), OrganizationName: s.ColumnText(1), Email: s.ColumnText(2), Role: account.Role(s.ColumnText(3)), ExpiresAt: columnTime(s, 4),
		})
		return nil
	}})
	return found, err
}

// RemoveInvitation implements [account.Store].
func (s *Store) RemoveInvitation(ctx context.Context, organization int64, email string) error {
	return s.write(ctx, func(c *sqlite.Conn) error { return execute(c, removeInvitation, organization, email) })
}

// AcceptInvitation implements [account.Store].
func (s *Store) AcceptInvitation(ctx context.Context, hash account.Hash, u account.User) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		i, err := s.findInvitation(c, hash)
		if err != nil {
			return err
		}
		if err := execute(c, "INSERT INTO users (id, email, operator, password_hash, created_at) VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT DO NOTHING",
			u.ID, u.Email, u.PasswordHash, s.now().UnixMilli()); err != nil {
			return err
		}
		users, err := findUsers(c, userByEmail, i.Email)
		if err != nil {
			return err
		}
		if len(users) == 0 || users[0].ID != u.ID {
			return account.ErrEmailTaken
		}
		if err := execute(c, insertMembership, u.ID, i.Organization, string(i.Role)); err != nil {
			return err
		}
		return execute(c, removeInvitation, i.Organization, i.Email)
	})
}

// CreateSession implements [account.Store]. It removes some sessions that have expired, more than it adds.
func (s *Store) CreateSession(ctx context.Context, session account.Session) error {
	now := s.now().UnixMilli()
	return s.write(ctx, func(c *sqlite.Conn) error {
		if err := execute(c, removeExpiredSessions, now); err != nil {
			return err
		}
		return execute(c, "INSERT INTO sessions (key, user_id, data, created_at, seen_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
			session.Key, session.UserID, session.Data, now, session.ExpiresAt.UnixMilli())
	})
}

// UpdateSession implements [account.Store].
func (s *Store) UpdateSession(ctx context.Context, session account.Session) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		return execute(c, updateSession, session.Key, session.Data, s.now().UnixMilli(), session.ExpiresAt.UnixMilli())
	})
}

const (
	removeExpiredSessions = "DELETE FROM sessions WHERE key IN (SELECT key FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 10)"

	updateSession  = "UPDATE sessions SET data = ?2, seen_at = ?3, expires_at = ?4 WHERE key = ?1"
	selectSessions = "SELECT key, user_id, data, created_at, seen_at, expires_at FROM sessions "
	findSession    = selectSessions + "WHERE key = ?1 AND expires_at > ?2"
	listSessions   = selectSessions + "WHERE user_id = ?1 AND expires_at > ?2"
)

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

func (s *Store) sessions(ctx context.Context, query, argument string) (sessions []account.Session, _ error) {
	err := s.read(ctx, func(c *sqlite.Conn) error {
		return sqlitex.Execute(c, query, &sqlitex.ExecOptions{Args: []any{argument, s.now().UnixMilli()}, ResultFunc: func(s *sqlite.Stmt) error {
			data := make([]byte, s.ColumnLen(2))
			s.ColumnBytes(2, data)
			sessions = append(sessions, account.Session{
				Key: s.ColumnText(0), UserID: s.ColumnText(1), Data: data,
				CreatedAt: columnTime(s, 3), SeenAt: columnTime(s, 4), ExpiresAt: columnTime(s, 5),
			})
			return nil
		}})
	})
	return sessions, err
}

// RemoveSession implements [account.Store].
func (s *Store) RemoveSession(ctx context.Context, userID, key string) error {
	return s.write(ctx, func(c *sqlite.Conn) error {
		return execute(c, "DELETE FROM sessions WHERE key = ?1 AND user_id = ?2", key, userID)
	})
}
