package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
)

// TestDump restores a dump of a served PostgreSQL database into a new one, and serves that.
func TestDump(t *testing.T) {
	t.Parallel()
	database, restored := pgtest.New(t), pgtest.New(t)
	a := serve(t, database).account("acme")
	r := a.newRecord()
	a.changeCity(r, 2)
	dump := filepath.Join(t.TempDir(), "carecycle.dump")
	for _, arguments := range [][]string{
		{"pg_dump", "--format=custom", "--file=" + dump, "--dbname=" + database},
		{"pg_restore", "--exit-on-error", "--single-transaction", "--dbname=" + restored, dump},
	} {
		needs(t, arguments[0], "postgresql-client")
		if out, err := exec.Command(arguments[0], arguments[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", arguments[0], err, out)
		}
	}
	expectNoProblem(t, restored)
	again := account{serve(t, restored), "acme", a.key}
	got := again.send(request{Path: r.path(), Body: `{"city":"after the restore"}`})
	if got.Status != http.StatusOK || got.Header.Get("ETag") != `"4"` {
		t.Errorf("a change in the restored database: %d %s", got.Status, got.Body)
	}
}
