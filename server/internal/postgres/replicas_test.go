package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/google/uuid"
)

// TestReplicas runs the contract on two stores of one database, of which each takes every other call.
func TestReplicas(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		dsn := postgrestest.New(t)
		r := &replicas{t: t, dsn: dsn}
		for range 2 {
			r.stores = append(r.stores, open(t, dsn, postgres.Options{Now: now}))
		}
		return r
	})
}

type replicas struct {
	t      *testing.T
	dsn    string
	stores []*postgres.Store
	calls  atomic.Uint64
}

func (r *replicas) next() *postgres.Store { return r.stores[r.calls.Add(1)%uint64(len(r.stores))] }

func (r *replicas) Write(ctx context.Context, w provider.Write) (provider.Provider, error) {
	return r.next().Write(ctx, w)
}

func (r *replicas) Get(ctx context.Context, organization int64, customer, id uuid.UUID) (provider.Provider, error) {
	return r.next().Get(ctx, organization, customer, id)
}

func (r *replicas) List(ctx context.Context, l provider.List) ([]provider.Provider, error) {
	return r.next().List(ctx, l)
}

func (r *replicas) History(ctx context.Context, organization int64, customer, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	return r.next().History(ctx, organization, customer, id, before, limit)
}

func (r *replicas) Import(ctx context.Context, organization int64, imports []provider.Import, customers []uuid.UUID) (provider.ImportCount, error) {
	return r.next().Import(ctx, organization, imports, customers)
}

func (r *replicas) ListAll(ctx context.Context, organization int64, after *provider.CustomerRecord, limit int) ([]provider.CustomerRecord, error) {
	return r.next().ListAll(ctx, organization, after, limit)
}

func (r *replicas) ListOrganizations(ctx context.Context) ([]provider.Organization, error) {
	return r.next().ListOrganizations(ctx)
}

func (r *replicas) ListVersions(ctx context.Context, organization int64, after *uuid.UUID, limit int) ([]provider.RecordVersion, error) {
	return r.next().ListVersions(ctx, organization, after, limit)
}

func (r *replicas) RemoveEvents(ctx context.Context, organization int64, upTo []provider.RecordVersion) (int, error) {
	return r.next().RemoveEvents(ctx, organization, upTo)
}

func (r *replicas) Activity(ctx context.Context, q provider.ActivityQuery) (provider.ActivityPage, error) {
	return r.next().Activity(ctx, q)
}

func (r *replicas) Purge(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return r.next().Purge(ctx, organization, ids)
}

func (r *replicas) RemoveRecords(ctx context.Context, organization int64, ids []uuid.UUID) error {
	return r.next().RemoveRecords(ctx, organization, ids)
}

func (r *replicas) CloseCustomer(ctx context.Context, organization int64, customer uuid.UUID) (bool, error) {
	return r.next().CloseCustomer(ctx, organization, customer)
}

func (r *replicas) ListOfCustomer(ctx context.Context, organization int64, customer uuid.UUID, deleted bool, after *provider.Position, limit int) ([]provider.PositionedVersion, error) {
	return r.next().ListOfCustomer(ctx, organization, customer, deleted, after, limit)
}

func (r *replicas) RemoveOrganization(ctx context.Context, organization int64) (bool, error) {
	return r.next().RemoveOrganization(ctx, organization)
}

func (r *replicas) CountPurge(ctx context.Context, organization int64, customer *uuid.UUID) (provider.PurgeCount, error) {
	return r.next().CountPurge(ctx, organization, customer)
}

func (r *replicas) Scrub(ctx context.Context) error { return r.next().Scrub(ctx) }

func (r *replicas) FindOrganization(ctx context.Context, name string) (int64, error) {
	return r.next().FindOrganization(ctx, name)
}

func (r *replicas) Owners(ctx context.Context, id uuid.UUID) ([]provider.Owner, error) {
	return r.next().Owners(ctx, id)
}

func (r *replicas) Events(ctx context.Context, organization int64, id uuid.UUID, before int64, limit int) ([]provider.Event, error) {
	return r.next().Events(ctx, organization, id, before, limit)
}

func (r *replicas) EnsureOrganization(ctx context.Context, name string) (int64, bool, error) {
	return r.next().EnsureOrganization(ctx, name)
}

func (r *replicas) CreateKey(ctx context.Context, key apikey.Key, hash apikey.Hash) error {
	return r.next().CreateKey(ctx, key, hash)
}

func (r *replicas) KeyByHash(ctx context.Context, hash apikey.Hash) (apikey.Key, error) {
	return r.next().KeyByHash(ctx, hash)
}

func (r *replicas) KeyByID(ctx context.Context, id string) (apikey.Key, error) {
	return r.next().KeyByID(ctx, id)
}

func (r *replicas) RenameOrganization(ctx context.Context, number int64, name string) error {
	return r.next().RenameOrganization(ctx, number, name)
}

func (r *replicas) SuspendOrganization(ctx context.Context, number int64, suspended bool) error {
	return r.next().SuspendOrganization(ctx, number, suspended)
}

func (r *replicas) ListKeys(ctx context.Context, organization int64, after apikey.Key, limit int) ([]apikey.Key, error) {
	return r.next().ListKeys(ctx, organization, after, limit)
}

func (r *replicas) RotateKey(ctx context.Context, id string, next apikey.Key, hash apikey.Hash, overlap time.Duration) error {
	return r.next().RotateKey(ctx, id, next, hash, overlap)
}

func (r *replicas) UndoRotation(ctx context.Context, id, successor string) error {
	return r.next().UndoRotation(ctx, id, successor)
}

func (r *replicas) UpdateKey(ctx context.Context, id string, update apikey.Update) error {
	return r.next().UpdateKey(ctx, id, update)
}

func (r *replicas) RemoveKeys(ctx context.Context, ids []string) (int, error) {
	return r.next().RemoveKeys(ctx, ids)
}

func (r *replicas) KeyHashes(ctx context.Context, since time.Time) ([]apikey.Hash, time.Time, error) {
	return r.next().KeyHashes(ctx, since)
}

func (r *replicas) Now(ctx context.Context) (time.Time, error) { return r.next().Now(ctx) }

func (r *replicas) RevokeKey(ctx context.Context, id string, after time.Duration) error {
	return r.next().RevokeKey(ctx, id, after)
}

func (r *replicas) RecordKeyUses(ctx context.Context, uses map[string]time.Time) error {
	return r.next().RecordKeyUses(ctx, uses)
}

func (r *replicas) CreateUser(ctx context.Context, u account.User) error {
	return r.next().CreateUser(ctx, u)
}

func (r *replicas) UserByID(ctx context.Context, id string) (account.User, error) {
	return r.next().UserByID(ctx, id)
}

func (r *replicas) UserByEmail(ctx context.Context, email string) (account.User, error) {
	return r.next().UserByEmail(ctx, email)
}

func (r *replicas) ListUsers(ctx context.Context, organization int64, after string, limit int) ([]account.User, error) {
	return r.next().ListUsers(ctx, organization, after, limit)
}

func (r *replicas) HasUsers(ctx context.Context) (bool, error) {
	return r.next().HasUsers(ctx)
}

func (r *replicas) SetRole(ctx context.Context, id string, organization int64, role account.Role) error {
	return r.next().SetRole(ctx, id, organization, role)
}

func (r *replicas) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return r.next().SetDisabled(ctx, id, disabled)
}

func (r *replicas) SetPassword(ctx context.Context, id, passwordHash, keep string) error {
	return r.next().SetPassword(ctx, id, passwordHash, keep)
}

func (r *replicas) SetSubject(ctx context.Context, id, from, to string) error {
	return r.next().SetSubject(ctx, id, from, to)
}

func (r *replicas) SetTOTP(ctx context.Context, id string, t account.TOTP, step account.Step, recovery []account.Hash, keep string) error {
	return r.next().SetTOTP(ctx, id, t, step, recovery, keep)
}

func (r *replicas) RemoveTOTP(ctx context.Context, id, keep string) error {
	return r.next().RemoveTOTP(ctx, id, keep)
}

func (r *replicas) FindTOTP(ctx context.Context, id string) (account.TOTP, error) {
	return r.next().FindTOTP(ctx, id)
}

func (r *replicas) UseStep(ctx context.Context, id string, step account.Step) error {
	return r.next().UseStep(ctx, id, step)
}

func (r *replicas) UseRecoveryCode(ctx context.Context, id string, hash account.Hash) error {
	return r.next().UseRecoveryCode(ctx, id, hash)
}

func (r *replicas) CountAttempt(ctx context.Context, id string, window time.Duration) (int, error) {
	return r.next().CountAttempt(ctx, id, window)
}

func (r *replicas) RecordSignIn(ctx context.Context, id string) error {
	return r.next().RecordSignIn(ctx, id)
}

func (r *replicas) SaveLink(ctx context.Context, hash account.Hash, id string, lifetime time.Duration) error {
	return r.next().SaveLink(ctx, hash, id, lifetime)
}

func (r *replicas) UserByLink(ctx context.Context, hash account.Hash) (account.User, error) {
	return r.next().UserByLink(ctx, hash)
}

func (r *replicas) UseLink(ctx context.Context, hash account.Hash, passwordHash string) (account.User, error) {
	return r.next().UseLink(ctx, hash, passwordHash)
}

func (r *replicas) SaveInvitation(ctx context.Context, hash account.Hash, i account.Invitation, lifetime time.Duration) error {
	return r.next().SaveInvitation(ctx, hash, i, lifetime)
}

func (r *replicas) FindInvitation(ctx context.Context, hash account.Hash) (account.Invitation, error) {
	return r.next().FindInvitation(ctx, hash)
}

func (r *replicas) ListInvitations(ctx context.Context, organization int64) ([]account.Invitation, error) {
	return r.next().ListInvitations(ctx, organization)
}

func (r *replicas) RemoveInvitation(ctx context.Context, organization int64, email string) error {
	return r.next().RemoveInvitation(ctx, organization, email)
}

func (r *replicas) AcceptInvitation(ctx context.Context, hash account.Hash, u account.User) error {
	return r.next().AcceptInvitation(ctx, hash, u)
}

func (r *replicas) CreateSession(ctx context.Context, session account.Session) error {
	return r.next().CreateSession(ctx, session)
}

func (r *replicas) UpdateSession(ctx context.Context, session account.Session) error {
	return r.next().UpdateSession(ctx, session)
}

func (r *replicas) FindSession(ctx context.Context, key string) (account.Session, bool, error) {
	return r.next().FindSession(ctx, key)
}

func (r *replicas) ListSessions(ctx context.Context, userID string) ([]account.Session, error) {
	return r.next().ListSessions(ctx, userID)
}

func (r *replicas) RemoveSession(ctx context.Context, userID, key string) error {
	return r.next().RemoveSession(ctx, userID, key)
}

func (r *replicas) AddUsage(ctx context.Context, rows []usage.Row) error {
	return r.next().AddUsage(ctx, rows)
}

func (r *replicas) Usage(ctx context.Context, organization int64, resolution usage.Resolution, since time.Time, f func(usage.Row)) error {
	return r.next().Usage(ctx, organization, resolution, since, f)
}

func (r *replicas) RemoveUsage(ctx context.Context, resolution usage.Resolution, before time.Time, limit int) (int, error) {
	return r.next().RemoveUsage(ctx, resolution, before, limit)
}

func (r *replicas) ListCustomers(ctx context.Context, organization int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return r.next().ListCustomers(ctx, organization, after, limit)
}

func (r *replicas) CustomerOf(ctx context.Context, organization int64, id uuid.UUID) (uuid.UUID, error) {
	return r.next().CustomerOf(ctx, organization, id)
}

func (r *replicas) Ping(ctx context.Context) error { return r.next().Ping(ctx) }

func (r *replicas) Verify(ctx context.Context, report func(provider.Problem)) (provider.Verified, error) {
	return r.next().Verify(ctx, report)
}

// Close closes both and sees to it that their transactions never waited for each other in a circle.
func (r *replicas) Close() error {
	var err error
	for _, s := range r.stores {
		err = errors.Join(err, s.Close())
	}
	c := connect(r.t, r.dsn)
	await.State(r.t, "the stores have left", func() bool {
		return queryInt(r.t, c, "SELECT count(*) "+others) == 0
	})
	if n := queryInt(r.t, c, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		r.t.Errorf("%d deadlocks, want none", n)
	}
	return err
}

func (r *replicas) Stats() provider.Stats { return r.next().Stats() }
