package postgres_test

import (
	"math"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
)

// TestDrawTokens draws from buckets by two stores at once: no token is granted twice.
func TestDrawTokens(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	stores := []*postgres.Store{open(t, dsn, postgres.Options{}), open(t, dsn, postgres.Options{})}
	draw := func(s *postgres.Store, draws ...apikey.Draw) map[string]apikey.Grant {
		t.Helper()
		grants, err := s.DrawTokens(t.Context(), draws)
		if err != nil || len(grants) != len(draws) {
			t.Errorf("%d grants of %d draws, %v", len(grants), len(draws), err)
		}
		return grants
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.5 { // the buckets are refilled while the test runs, slowly
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	var mu sync.Mutex
	granted := map[string]int{}
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			draws := []apikey.Draw{{KeyID: "key_1", RateLimit: 10, Wanted: 100}, {KeyID: "key_2", RateLimit: 10, Wanted: 100}}
			if n%4 < 2 { // in any order
				draws[0], draws[1] = draws[1], draws[0]
			}
			for key, grant := range draw(stores[n%2], draws...) {
				mu.Lock()
				granted[key] += grant.Tokens
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if granted["key_1"] != 10 || granted["key_2"] != 10 {
		t.Errorf("granted %v, want 10 of each", granted)
	}

	one := apikey.Draw{KeyID: "key_3", RateLimit: 10}
	grantOf := func(owed, wanted int) apikey.Grant {
		t.Helper()
		d := one
		d.Owed, d.Wanted = owed, wanted
		return draw(stores[0], d)[one.KeyID]
	}
	if g := grantOf(0, 3); g.Tokens != 3 {
		t.Errorf("3 of 10: %+v", g)
	}
	if g := grantOf(0, 100); g.Tokens != 4 { // of 7
		t.Errorf("half of 7: %+v", g)
	}
	near("owed", grantOf(5, 0).Left, -2)
	near("owed, and nothing left", grantOf(0, 5).Left, -2)
	near("given back", grantOf(-100, 0).Left, 10)
	near("paid from a full bucket", grantOf(10, 0).Left, 0)
	execute(t, connect(t, dsn), "UPDATE rate_buckets SET at = at - interval '30 seconds' WHERE key_id = 'key_3'")
	near("refilled for 30 seconds", grantOf(0, 0).Left, 5)
	execute(t, connect(t, dsn), "UPDATE rate_buckets SET at = at + interval '1 hour' WHERE key_id = 'key_3'")
	near("written by a clock that was ahead", grantOf(0, 0).Left, 5)
	one.RateLimit = 2
	near("a lower limit", grantOf(0, 0).Left, 2)
}
