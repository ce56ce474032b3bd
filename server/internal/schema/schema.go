// Package schema says which column of a store's table providers holds which property of the contract, and compares the two.
// Both stores build their statements with it, and call Check when they open, after their migrations, so that a server never
// serves a property that it cannot keep. It also knows the index for lists with filters, and which parts of it such a list reads.
package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
)

// VersionTable is the table of the migrations that were applied. It has a name of its own, so that it is not mistaken for that of
// another program in the same schema.
const VersionTable = "carecycle_schema_versions"

// Dialect is how a store writes its columns.
type Dialect struct {
	Migrations string   // the directory of its migrations, from the root of the repository
	Keys       []string // the columns that every record has, whatever its properties

	types map[Kind]string // of columns
}

// The dialects of the stores.
var (
	SQLite = Dialect{"server/internal/sqlite/migrations", []string{
		"row", "organization_id", "id", "last_event", "customer_id", "created_at", "deleted", "version", "updated_at",
	}, map[Kind]string{Integer: "INTEGER", Text: "TEXT", Boolean: "INTEGER", Time: "INTEGER", UUID: "BLOB", Bytes: "BLOB"}}
	PostgreSQL = Dialect{"server/internal/postgres/migrations", []string{
		"organization_id", "id", "customer_id", "version", "created_at", "updated_at", "deleted",
	}, map[Kind]string{Integer: "bigint", Text: "text", Boolean: "boolean", Time: "timestamp(3) with time zone", UUID: "uuid", Bytes: "bytea"}}
)

// Column returns the name of a property's column: its own in snake case.
func Column(p *property.Description) string {
	var column strings.Builder
	for _, r := range p.Name {
		if 'A' <= r && r <= 'Z' {
			column.WriteByte('_')
			r += 'a' - 'A'
		}
		column.WriteRune(r)
	}
	return column.String()
}

// Quote returns the name of a column as SQL has it, since a property may be named like one of its keywords.
func Quote(column string) string { return `"` + column + `"` }

// Columns returns the columns of all properties, quoted, in the order of property.Table.
func Columns() []string {
	columns := make([]string, len(property.Table))
	for id := range property.Table {
		columns[id] = Quote(Column(&property.Table[id]))
	}
	return columns
}

// Type returns the type of a property's column.
func (d Dialect) Type(p *property.Description) string {
	if p.Kind == property.BooleanKind {
		return d.types[Boolean]
	}
	return d.types[Text]
}

func (d Dialect) definition(p *property.Description) string {
	if p.Nullable {
		return d.Type(p)
	}
	return d.Type(p) + " NOT NULL"
}

// Check compares the columns of the table providers with the contract's properties. Columns are given by name, each as its
// type or as in TEXT NOT NULL. It fails if a property lacks its column, if the column is of another type, or if a column
// without a property, which the contract has lost, must have a value. The error says which migration to write.
func (d Dialect) Check(columns map[string]string) error {
	for id := range property.Table {
		p := &property.Table[id]
		column, want := Column(p), d.definition(p)
		switch got := columns[column]; {
		case slices.Contains(d.Keys, column):
			return fmt.Errorf("the contract's property %s would need the column %s, which every record has for a purpose of its own; name it otherwise", p.Name, column)
		case got == "":
			return d.missing(p)
		case got != want:
			return fmt.Errorf("the contract's property %s needs the column %s %s, and the table providers has %s %s; add a migration to %s that changes it",
				p.Name, column, want, column, got, d.Migrations)
		}
	}
	for _, column := range d.Others(columns) {
		if strings.HasSuffix(columns[column], " NOT NULL") {
			return fmt.Errorf("no property of the contract has the column %s, which must have a value; add a migration to %s that drops it or lets it be null", column, d.Migrations)
		}
	}
	return nil
}

// Others returns those of the columns that hold no property, sorted: the contract has lost it, or a newer version has it.
func (d Dialect) Others(columns map[string]string) []string {
	rest := maps.Clone(columns)
	for _, key := range d.Keys {
		delete(rest, key)
	}
	for id := range property.Table {
		delete(rest, Column(&property.Table[id]))
	}
	return slices.Sorted(maps.Keys(rest))
}

func (d Dialect) missing(p *property.Description) error {
	return fmt.Errorf("the contract's property %s has no column; add a migration to %s, with a line -- +goose Up and below it: ALTER TABLE providers ADD COLUMN %s %s; (RENAME COLUMN for a property that had another name)",
		p.Name, d.Migrations, Quote(Column(p)), d.definition(p))
}
