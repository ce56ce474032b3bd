package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/proxytest"
)

// A pooler that gives each session a connection of its own is as good as the server.
func TestSessionPooling(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	pooled := proxytest.PgBouncer(t, dsn, "session")
	for start := range 2 {
		org := newFixture(t, pooled, postgres.Options{InFlight: 4})
		var all sync.WaitGroup
		for n := range 20 {
			one := org.another()
			all.Go(func() {
				if _, err := one.update(text(fmt.Sprint(n))); err != nil {
					t.Errorf("start %d: %v", start, err)
				}
				if _, err := one.get(); err != nil {
					t.Errorf("start %d: %v", start, err)
				}
			})
		}
		all.Wait()
		if err := org.Ping(t.Context()); err != nil {
			t.Errorf("start %d: %v", start, err)
		}
		terminateOthers(t, connect(t, dsn)) // as when the database is started again
		if _, err := org.update(text("again")); err != nil {
			t.Errorf("start %d, after the connections were lost: %v", start, err)
		}
		org.Close()
	}
}

// Any other pooler mixes sessions. It is rejected at the first start and at every later one, also while others use it.
func TestOtherPooling(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dsn := postgrestest.New(t)
			pooled := proxytest.PgBouncer(t, dsn, mode)
			open(t, dsn, postgres.Options{}).Close()
			busy, stop := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer stop()
			for range 4 {
				other := connect(t, with(t, pooled, func(u *url.URL) { u.RawQuery += "&default_query_exec_mode=simple_protocol" }))
				all.Go(func() {
					for busy.Err() == nil {
						if _, err := other.Exec(t.Context(), "SELECT pg_sleep(0.001)"); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for range 3 {
				s, err := postgres.Open(t.Context(), pooled, postgres.Options{})
				if err == nil {
					s.Close()
				}
				if err == nil || !strings.Contains(err.Error(), "set its pool_mode to session") {
					t.Errorf("error %v, want one that names pool_mode", err)
				}
			}
		})
	}
}
