package schema

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
)

// The migrations of each store name a column for each property. This needs no database, so it says what is missing before
// any other test runs, wherever they run. Whether a column is right is for the store to check.
func TestMigrations(t *testing.T) {
	for name, dialect := range map[string]Dialect{"sqlite": SQLite, "postgres": PostgreSQL} {
		files, err := filepath.Glob(filepath.Join("../../..", dialect.Migrations, "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no migrations in %s: %v", dialect.Migrations, err)
		}
		statements := ""
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, up, found := strings.Cut(string(text), "-- +goose Up")
			if !found {
				t.Errorf("%s has no line -- +goose Up above its statements", filepath.Base(file))
			}
			up, _, _ = strings.Cut(up, "-- +goose Down")
			statements += comment.ReplaceAllString(up, "")
		}
		for id := range property.Table {
			p := &property.Table[id]
			if !regexp.MustCompile(`\b` + Column(p) + `\b`).MatchString(statements) {
				t.Errorf("%s: %v", name, dialect.missing(p))
			}
		}
	}
}

var comment = regexp.MustCompile(`--.*`)

func TestColumn(t *testing.T) {
	for name, want := range map[string]string{"npi": "npi", "postalCode": "postal_code", "isPrimaryProvider": "is_primary_provider", "address2": "address2"} {
		if got := Column(&property.Description{Name: name}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// An error names the property, the directory of the migrations and the statement to write.
func TestCheck(t *testing.T) {
	complete := map[string]string{"row": "INTEGER NOT NULL", "version": "INTEGER NOT NULL"}
	for id := range property.Table {
		complete[Column(&property.Table[id])] = SQLite.definition(&property.Table[id])
	}
	for _, test := range []struct {
		column, definition string // instead of the right one; none is there if it is empty
		want               string
	}{
		{column: "version", definition: "INTEGER NOT NULL"},
		{column: "fax_of_old", definition: "TEXT"},
		{column: "fax_of_old", definition: "TEXT NOT NULL",
			want: "no property of the contract has the column fax_of_old, which must have a value; add a migration to server/internal/sqlite/migrations that drops it or lets it be null"},
		{column: "postal_code",
			want: `the contract's property postalCode has no column; add a migration to server/internal/sqlite/migrations, with a line -- +goose Up and below it: ALTER TABLE providers ADD COLUMN "postal_code" TEXT; (RENAME COLUMN for a property that had another name)`},
		{column: "is_active",
			want: `the contract's property isActive has no column; add a migration to server/internal/sqlite/migrations, with a line -- +goose Up and below it: ALTER TABLE providers ADD COLUMN "is_active" INTEGER; (RENAME COLUMN for a property that had another name)`},
		{column: "provider_type", definition: "TEXT",
			want: "the contract's property providerType needs the column provider_type TEXT NOT NULL, and the table providers has provider_type TEXT; add a migration to server/internal/sqlite/migrations that changes it"},
		{column: "notes", definition: "INTEGER",
			want: "the contract's property notes needs the column notes TEXT, and the table providers has notes INTEGER; add a migration to server/internal/sqlite/migrations that changes it"},
	} {
		columns := maps.Clone(complete)
		delete(columns, test.column)
		if test.definition != "" {
			columns[test.column] = test.definition
		}
		got := ""
		if err := SQLite.Check(columns); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %s: got  %s\nwant %s", test.column, test.definition, got, test.want)
		}
	}
	taken := SQLite
	taken.Keys = append(slices.Clone(taken.Keys), "city")
	if err := taken.Check(complete); err == nil || !strings.HasPrefix(err.Error(), "the contract's property city would need the column city") {
		t.Errorf("a column with a purpose of its own: %v", err)
	}
}
