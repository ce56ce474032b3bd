package postgres

import (
	"context"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/jackc/pgx/v5"
)

// EnsureOrganization implements [provider.Store].
func (s *Store) EnsureOrganization(ctx context.Context, name string) (number int64, created bool, _ error) {
	if number, err := s.FindOrganization(ctx, name); err != nil || number != 0 {
		return number, false, err
	}
	if err := s.beginNumbers(ctx); err != nil {
		return 0, false, err
	}
	inserted, err := s.execute(ctx, "INSERT INTO organizations (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
	if err != nil {
		return 0, false, err
	}
	number, err = s.FindOrganization(ctx, name)
	return number, inserted > 0, err
}

// FindOrganization implements [provider.Store].
func (s *Store) FindOrganization(ctx context.Context, name string) (int64, error) {
	numbers, err := read(ctx, s, pgx.RowTo[int64], "SELECT id FROM organizations WHERE name = $1", name)
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	return numbers[0], nil
}

// ListOrganizations implements [provider.Store].
func (s *Store) ListOrganizations(ctx context.Context) ([]provider.Organization, error) {
	return read(ctx, s, pgx.RowToStructByPos[provider.Organization], "SELECT id, name, suspended FROM organizations ORDER BY id")
}

// RenameOrganization implements [provider.Store].
func (s *Store) RenameOrganization(ctx context.Context, number int64, name string) error {
	_, err := s.execute(ctx, renameOrganization, number, name)
	if err != nil && causeOf(err) == uniqueViolation {
		err = provider.ErrNameTaken
	}
	return err
}

// SuspendOrganization implements [provider.Store].
func (s *Store) SuspendOrganization(ctx context.Context, number int64, suspended bool) error {
	_, err := s.execute(ctx, suspendOrganization, number, suspended)
	return err
}

const (
	renameOrganization  = "UPDATE organizations SET name = $2 WHERE id = $1"
	suspendOrganization = "UPDATE organizations SET suspended = $2 WHERE id = $1"
)
