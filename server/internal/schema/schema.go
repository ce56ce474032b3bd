// Package schema compares a store's table of providers with the properties that the contract lists. A store calls it when
// it opens, after its migrations, so that a server never serves a property that it cannot keep.
package schema

import (
	"fmt"

	"github.com/carecycle/provider-api/gen/property"
)

// Dialect is how a store writes its columns.
type Dialect struct {
	Migrations string // the directory of its migrations, from the root of the repository
	Text       string // the type of a text
	Boolean    string
}

// The dialects of the stores.
var (
	SQLite     = Dialect{"server/internal/sqlite/migrations", "TEXT", "INTEGER"}
	PostgreSQL = Dialect{"server/internal/postgres/migrations", "text", "boolean"}
)

// Check fails if a property lacks its column, or if the column is of another type. Columns are those of the table
// providers, by name, each as its type or as in TEXT NOT NULL. The error says which migration to write.
func (d Dialect) Check(columns map[string]string) error {
	for id := range property.Table {
		p := &property.Table[id]
		got, want := columns[p.Column()], d.definition(p)
		if got == "" {
			return fmt.Errorf("the contract's property %s has no column; add a migration to %s with: ALTER TABLE providers ADD COLUMN %s %s;",
				p.Name, d.Migrations, p.Column(), want+defaultOf(p))
		}
		if got != want {
			return fmt.Errorf("the contract's property %s needs the column %s %s, and the table providers has %s %s; add a migration to %s that changes it",
				p.Name, p.Column(), want, p.Column(), got, d.Migrations)
		}
	}
	return nil
}

// Type returns the type of a property's column.
func (d Dialect) Type(p *property.Description) string {
	if p.Kind == property.BooleanKind {
		return d.Boolean
	}
	return d.Text
}

func (d Dialect) definition(p *property.Description) string {
	if p.Nullable {
		return d.Type(p)
	}
	return d.Type(p) + " NOT NULL"
}

// defaultOf is what a column needs besides its definition where there are records without it.
func defaultOf(p *property.Description) string {
	switch {
	case p.Nullable:
		return ""
	case p.Kind == property.BooleanKind:
		return " DEFAULT false"
	case p.Enum != nil:
		return " DEFAULT '" + p.Enum[0] + "'"
	}
	return " DEFAULT ''"
}
