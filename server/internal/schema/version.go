package schema

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Migration is one step of a store's schema.
type Migration struct {
	Version   int64
	Name      string    // of its file, such as 00001_init
	AppliedAt time.Time // zero while it is due
	Alone     bool      // it cannot run in a transaction
	Tried     bool      // it was run in a transaction that was rolled back

	statements string
}

// Due reports whether the migration is still to be applied.
func (m *Migration) Due() bool { return m.AppliedAt.IsZero() }

// Migrations returns all migrations of a store, in their order. They are in the directory migrations of its package. applied has the
// time at which each was applied, by version; it fails if a newer version of the program has applied others.
func Migrations(store fs.FS, applied map[int64]time.Time) ([]Migration, error) {
	names, err := fs.Glob(store, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]Migration, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(store, name)
		if err != nil {
			return nil, err
		}
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		statements, _, _ := strings.Cut(string(text), "-- +goose Down")
		all[i] = Migration{
			Version: version, Name: strings.TrimSuffix(path.Base(name), ".sql"), AppliedAt: applied[version],
			Alone: strings.Contains(statements, "-- +goose NO TRANSACTION"), statements: statements,
		}
	}
	newest := all[len(all)-1].Version
	for version := range applied {
		if version > newest {
			return nil, Newer(version, newest)
		}
	}
	return all, nil
}

// Try runs those of the migrations that are due, in a transaction of the caller's. It stops before one that cannot run in a transaction,
// since later ones may need it.
func Try(all []Migration, run func(statements string) error) error {
	for i := range all {
		m := &all[i]
		switch {
		case !m.Due():
			continue
		case m.Alone:
			return nil
		}
		if err := run(m.statements); err != nil {
			return fmt.Errorf("the migration %s fails: %w", m.Name, err)
		}
		m.Tried = true
	}
	return nil
}

// Newer is the error of a program that is older than a database's schema.
func Newer(version, newest int64) error {
	return fmt.Errorf("its schema, version %d, was made by a newer version of this program, which knows up to %d; install the newer program", version, newest)
}

// NewestVersion returns the version of the schema after all migrations of a store.
func NewestVersion(store fs.FS) int64 {
	all, err := Migrations(store, nil)
	if err != nil {
		panic(err)
	}
	return all[len(all)-1].Version
}
