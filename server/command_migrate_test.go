package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// migrateCase is a store whose newest migration is taken back by undo.
type migrateCase struct {
	database string
	newest   string       // the name of its newest migration
	execute  func(string) // runs SQL
	undo     []string     // take that migration back, but for its version
	again    string       // makes it fail, until the last of undo
}

// TestMigrateLists asks what a migration would do, before and after it.
func TestMigrateLists(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "test.db")
		if _, stderr, code := run("", "migrate", "--status", "--database", path); code != 1 || !strings.Contains(stderr, "there is no database "+path) {
			t.Errorf("no database: exit code %d, %s", code, stderr)
		}
		migrated(t, path)
		checkMigrateLists(t, migrateCase{
			database: path, newest: "00015_openid_subjects", execute: func(sql string) { query(t, path, sql) },
			undo: []string{"ALTER TABLE users DROP COLUMN openid_subject"}, again: "ALTER TABLE users ADD COLUMN openid_subject TEXT",
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		database := pgtest.New(t)
		c, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		stdout, stderr, code := run("", "migrate", "--dry-run", "--database", database)
		want := "00001_init\ttried and rolled back\n00002_keys_and_probes\ttried and rolled back\n00003_filters\tnot tried: it cannot run in a transaction\n00004_idempotency_keys\tnot tried: it follows one that was not\n"
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, want) {
			t.Errorf("a new database: exit code %d, %s\ngot  %s\nwant %s", code, stderr, stdout, want)
		}
		if stdout, _, code := run("", "migrate", "--status", "--database", database); code != 4 || strings.Count(stdout, "\tdue\n") != strings.Count(stdout, "\n") {
			t.Errorf("a new database: exit code %d, %s", code, stdout)
		}
		migrated(t, database)
		checkMigrateLists(t, migrateCase{
			database: database, newest: "00015_openid_subjects", undo: []string{"ALTER TABLE users DROP COLUMN openid_subject"}, again: "ALTER TABLE users ADD COLUMN openid_subject text",
			execute: func(sql string) {
				if _, err := c.Exec(t.Context(), sql); err != nil {
					t.Error(err)
				}
			},
		})
	})
}

// checkMigrateLists begins with all migrations applied.
func checkMigrateLists(t *testing.T, c migrateCase) {
	t.Helper()
	migrate := func(flag, last string, code int, message string) {
		t.Helper()
		stdout, stderr, got := run("", "migrate", flag, "--database", c.database)
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		if got != code || !strings.HasPrefix(lines[len(lines)-1], last) || !strings.Contains(stderr, message) {
			t.Errorf("migrate %s: exit code %d, %s%s; want %d, %s and %s", flag, got, stdout, stderr, code, last, message)
		}
	}
	const done, due = "the schema is up to date\n", "1 migration to apply; run migrate\n"
	migrate("--status", c.newest+"\tapplied 20", 0, done)
	migrate("--dry-run", "", 0, done)
	for _, statement := range c.undo {
		c.execute(statement)
	}
	c.execute("DELETE FROM carecycle_schema_versions WHERE version_id = (SELECT max(version_id) FROM carecycle_schema_versions)")
	for range 2 { // the dry run changes nothing
		migrate("--status", c.newest+"\tdue", 4, due)
		migrate("--dry-run", c.newest+"\ttried and rolled back", 0, "")
	}
	c.execute(c.again)
	migrate("--dry-run", "", 1, "the migration "+c.newest+" fails: ")
	c.execute(c.undo[len(c.undo)-1])
	migrated(t, c.database)
	migrate("--status", c.newest+"\tapplied 20", 0, done)
	c.execute("INSERT INTO carecycle_schema_versions (version_id, is_applied) VALUES (99, true)")
	migrate("--status", "", 1, "its schema, version 99, was made by a newer version of this program")
}
