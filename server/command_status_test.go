package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// statusOf returns the status of a server's database, and its exit code.
func statusOf(t *testing.T, s *server) (got struct {
	Store                              string
	SchemaVersion, NewestSchemaVersion int64
	Bytes                              int64
	LogBytes                           *int64
	EstimatedRecords, EstimatedEvents  *int64
	OldestEventAt                      *string
	LastBackup                         *struct{ At, File string }
	ActiveKeys                         int
	EndingKeys, EndedKeys              struct {
		Count int
		Keys  []struct{ ID, Name string }
	}
	Due []string
}, code int) {
	t.Helper()
	stdout, stderr, code := s.run("", "status", "--json")
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	return got, code
}

// keyIDs matches the IDs in a list of keys.
var keyIDs = regexp.MustCompile(`key_\w+`)

// TestStatus looks at databases while they are served.
func TestStatus(t *testing.T) {
	t.Parallel()
	for store, database := range map[string]func(t *testing.T) string{
		"sqlite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") },
		"postgresql": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			a := serve(t, database(t)).account("acme")
			a.changeCity(a.newRecord(), 2)
			a.newKey("acme", "--expires", "13d")
			a.newKey("acme", "--expires", "15d")
			ended := keyIDs.FindString(a.mustRun("", "keys", "list"))
			a.mustRun("", "keys", "revoke", ended)
			got, code := statusOf(t, a.server)
			if got.Store != store || got.SchemaVersion != got.NewestSchemaVersion || got.Bytes == 0 || (got.LogBytes != nil) != (store == "sqlite") ||
				got.EstimatedRecords == nil || got.EstimatedEvents == nil || got.OldestEventAt == nil || !timestampBegins.MatchString(*got.OldestEventAt) || got.LastBackup != nil {
				t.Errorf("got %+v", got)
			}
			if store == "sqlite" && (*got.EstimatedRecords != 1 || *got.EstimatedEvents != 3) {
				t.Errorf("%d records, %d events; want 1, 3", *got.EstimatedRecords, *got.EstimatedEvents)
			}
			if got.ActiveKeys != 2 || got.EndingKeys.Count != 1 || len(got.EndingKeys.Keys) != 1 || got.EndedKeys.Count != 1 || got.EndedKeys.Keys[0].ID != ended {
				t.Errorf("keys: %+v", got)
			}
			want := []string{"1 key ends within 14 days: issue new ones, or see keys rotate"}
			if store == "sqlite" {
				want = []string{"there is no backup: make one with backup", want[0]}
			}
			if code != 4 || fmt.Sprint(got.Due) != fmt.Sprint(want) {
				t.Errorf("exit code %d, due %q, want %q", code, got.Due, want)
			}
			text, _, _ := a.run("", "status")
			for _, want := range []string{fmt.Sprintf("\nschema    version %d of %[1]d\n", got.SchemaVersion), "\nkeys      2 active, 1 of which end within 14 days; 1 ended\n", "\nended     " + ended + "\t", "\ndue       " + want[0] + "\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			a.mustRun("", "keys", "revoke", got.EndingKeys.Keys[0].ID)
			if store == "sqlite" {
				expectBackup(t, a)
			}
			if got, code := statusOf(t, a.server); code != 0 || len(got.Due) != 0 {
				t.Errorf("exit code %d, due %q, want none", code, got.Due)
			}
		})
	}
}

var timestampBegins = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*Z$`)

// expectBackup makes a backup, and one that fails, and looks for the first in the status and the metrics.
func expectBackup(t *testing.T, a account) {
	t.Helper()
	metric := func() string {
		response, err := http.Get(a.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`(?m)^carecycle_last_backup_timestamp_seconds (\S+)$`).FindStringSubmatch(string(text))[1]
	}
	if got := metric(); got != "0" {
		t.Errorf("without a backup, the metric is %s", got)
	}
	destination := filepath.Join(t.TempDir(), "backup.db")
	a.mustRun("", "backup", destination)
	a.run("", "backup", filepath.Join(t.TempDir(), "nowhere", "backup.db"))
	if got, _ := statusOf(t, a.server); got.LastBackup == nil || got.LastBackup.File != destination || !timestampBegins.MatchString(got.LastBackup.At) {
		t.Errorf("got %+v", got.LastBackup)
	}
	if got := metric(); got == "0" {
		t.Error("the metric has no backup")
	}
}

// TestStatusOlder looks at databases that would be migrated: they stay as they are.
func TestStatusOlder(t *testing.T) {
	t.Parallel()
	const older = "DELETE FROM carecycle_schema_versions WHERE version_id = (SELECT max(version_id) FROM carecycle_schema_versions)"
	sqlite := migrated(t, filepath.Join(t.TempDir(), "test.db"))
	query(t, sqlite, older)
	postgres := migrated(t, pgtest.New(t))
	c, err := pgx.Connect(t.Context(), postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{sqlite, postgres} {
		for range 2 {
			got, code := statusOf(t, &server{t: t, database: database})
			if code != 4 || got.SchemaVersion >= got.NewestSchemaVersion || got.EstimatedRecords != nil || !strings.Contains(got.Due[0], "it migrates at its next start") {
				t.Errorf("exit code %d, got %+v", code, got)
			}
		}
	}
	if _, stderr, code := run("", "status", "--database", filepath.Join(t.TempDir(), "none.db")); code != 1 || !strings.Contains(stderr, "there is no database") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
