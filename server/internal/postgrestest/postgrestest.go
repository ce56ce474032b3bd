// Package postgrestest gives tests new databases of package postgres: copies of one, as migrations take long. Tests of migrations begin with
// an empty database of package pgtest.
package postgrestest

import (
	"context"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
)

// New creates a database of the newest schema, without records, and returns its URL.
func New(t testing.TB) string {
	t.Helper()
	return pgtest.NewCopy(t, func(url string) error {
		store, err := postgres.Open(context.Background(), url, postgres.Options{})
		if err != nil {
			return err
		}
		return store.Close()
	})
}
