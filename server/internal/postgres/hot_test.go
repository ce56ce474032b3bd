package postgres_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
)

func TestTmpHot(t *testing.T) {
	for _, ff := range []string{"100", "90", "80"} {
		dsn := pgtest.Start(t, pgtest.Options{Durable: true, Settings: []string{"max_wal_size=4GB"}}).Database(t)
		s := open(t, dsn, postgres.Options{})
		c := connect(t, dsn)
		execute(t, c, "ALTER TABLE providers SET (fillfactor="+ff+")")
		organization, ids := fill(t, dsn, 20000)
		w0 := queryInt(t, c, "SELECT (pg_current_wal_lsn() - '0/0')::bigint")
		start := time.Now()
		for round := range 3 {
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					for range 300 {
						id := ids[rand.IntN(len(ids))]
						if _, err := s.Write(context.Background(), provider.Write{Action: provider.Updated, Organization: organization, CustomerID: ids[0], ID: id, Patch: textPatch(rand.Int())}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			execute(t, c, "SELECT pg_sleep(1.1)")
			t.Log(ff, round, time.Since(start), queryInt(t, c, "SELECT 100*n_tup_hot_upd/n_tup_upd FROM pg_stat_user_tables WHERE relname='providers'"), "% hot; pages", queryInt(t, c, "SELECT pg_relation_size('providers')/8192"), "wal/upd", (queryInt(t, c, "SELECT (pg_current_wal_lsn() - '0/0')::bigint")-w0)/19200/(round+1))
		}
	}
}
