package schema_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/schema"
)

var dialects = map[string]schema.Dialect{"sqlite": schema.SQLite, "postgres": schema.PostgreSQL}

// The migrations of each store make a column for each property. This needs no database, so that it names what is missing
// wherever the tests run.
func TestMigrations(t *testing.T) {
	for name, dialect := range dialects {
		if err := dialect.Check(migrated(t, dialect.Migrations)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var (
	table  = regexp.MustCompile(`(?s)CREATE TABLE providers \((.*?)\n\)`)
	column = regexp.MustCompile(`(?m)^\s*(\w+)\s+(\w+)( NOT NULL)?`)
	adds   = regexp.MustCompile(`ALTER TABLE providers ADD COLUMN (\w+) (\w+)( NOT NULL)?`)
	drops  = regexp.MustCompile(`ALTER TABLE providers DROP COLUMN (\w+)`)
)

// migrated returns the columns that the migrations of a directory leave, as their text says.
func migrated(t *testing.T, directory string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../..", directory, "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations in %s: %v", directory, err)
	}
	columns := map[string]string{}
	for _, file := range files { // in the order of their numbers
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, created := range table.FindAllStringSubmatch(string(text), -1) {
			for _, match := range column.FindAllStringSubmatch(created[1], -1) {
				columns[match[1]] = match[2] + match[3]
			}
		}
		for _, match := range adds.FindAllStringSubmatch(string(text), -1) {
			columns[match[1]] = match[2] + match[3]
		}
		for _, match := range drops.FindAllStringSubmatch(string(text), -1) {
			delete(columns, match[1])
		}
	}
	return columns
}

// The error names the property, the directory of the migrations and the statement to write.
func TestCheck(t *testing.T) {
	complete := map[string]string{"row": "INTEGER"}
	for _, p := range property.Table {
		complete[p.Column()] = schema.SQLite.Type(&p)
		if !p.Nullable {
			complete[p.Column()] += " NOT NULL"
		}
	}
	if err := schema.SQLite.Check(complete); err != nil {
		t.Errorf("complete: %v", err)
	}
	for _, test := range []struct {
		column, definition string // instead of the right one; none is there if it is empty
		want               string
	}{
		{"postal_code", "", "property postalCode has no column; add a migration to server/internal/sqlite/migrations with: ALTER TABLE providers ADD COLUMN postal_code TEXT;"},
		{"is_active", "", "ALTER TABLE providers ADD COLUMN is_active INTEGER;"},
		{"provider_type", "", "ALTER TABLE providers ADD COLUMN provider_type TEXT NOT NULL DEFAULT 'Primary Care';"},
		{"provider_type", "TEXT", "needs the column provider_type TEXT NOT NULL, and the table providers has provider_type TEXT;"},
		{"notes", "INTEGER", "needs the column notes TEXT, and the table providers has notes INTEGER;"},
	} {
		columns := maps.Clone(complete)
		delete(columns, test.column)
		if test.definition != "" {
			columns[test.column] = test.definition
		}
		if err := schema.SQLite.Check(columns); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: got %v\nwant … %s", test.column, test.definition, err, test.want)
		}
	}
}
