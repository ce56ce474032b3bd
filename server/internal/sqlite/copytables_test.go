package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/schema"
)

// TestCopiedTables fails if a migration has added a table or a column that a copy of the database would lack: add it to schema.Tables, or
// to schema.Omitted with the reason.
func TestCopiedTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := copiedTables(s.writer)
	if err == nil {
		err = schema.SQLite.CheckCopied(tables)
	}
	if err != nil {
		t.Error(err)
	}
	for _, added := range []struct{ statement, want string }{
		{"ALTER TABLE api_keys ADD COLUMN added TEXT", "a copy would lack the column api_keys.added"},
		{"CREATE TABLE added (id INTEGER)", "a copy would lack the table added"},
	} {
		if err := execute(s.writer, added.statement); err != nil {
			t.Fatal(err)
		}
		tables, err := copiedTables(s.writer)
		if err == nil {
			err = schema.SQLite.CheckCopied(tables)
		}
		if err == nil || !strings.Contains(err.Error(), added.want) {
			t.Errorf("%s: %v, want %s", added.statement, err, added.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCopySource(t.Context(), path); err == nil || !strings.Contains(err.Error(), "a copy would lack the table added") {
		t.Errorf("open it to copy it: %v", err)
	}
}
