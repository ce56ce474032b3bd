// Package sqlitetest gives tests new SQLite databases: copies of one, as migrations take long. Tests of migrations open a file that does
// not exist.
package sqlitetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/server/internal/sqlite"
)

// New creates a database of the newest schema, without records, in a file that does not exist, and returns its path.
func New(t testing.TB, path string) string {
	t.Helper()
	content, err := empty()
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// empty returns such a file.
var empty = sync.OnceValues(func() ([]byte, error) {
	directory, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "empty.db")
	store, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
