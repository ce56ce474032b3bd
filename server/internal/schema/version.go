package schema

import (
	"io/fs"

	"github.com/pressly/goose/v3"
)

// NewestVersion returns the version of the schema after all migrations, which are in the directory migrations of a store's package.
func NewestVersion(store fs.FS) int64 {
	names, err := fs.Glob(store, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	version, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		panic(err)
	}
	return version
}
