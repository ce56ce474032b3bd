package postgres_test

import (
	"flag"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/storetest"
)

func TestMain(m *testing.M) {
	// Package sqlite has 100 random sequences for what the stores have in common. A flag of the command line has more here, see make model.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// TestStore runs what one store may do otherwise than two in turn; TestReplicas runs everything.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Store {
		return open(t, postgrestest.New(t), postgres.Options{Now: now})
	}, "Concurrency", "Cancel", "Model", "Close")
}
