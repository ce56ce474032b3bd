package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
)

// A store that waits for the lock of a file that is replaced has the new file.
func TestOpenWhileReplaced(t *testing.T) {
	t.Parallel()
	create := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.EnsureOrganization(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for range 3 {
		path, other := create("old"), create("new")
		unlock, err := lockUnused(path)
		if err != nil {
			t.Fatal(err)
		}
		opened := make(chan error)
		var s *Store
		go func() {
			var err error
			s, err = Open(context.Background(), path, Options{MustExist: true})
			opened <- err
		}()
		await.State(t, "the old file is open twice", func() bool { return descriptors(t, path) == 2 })
		if err := os.Rename(other, path); err != nil {
			t.Fatal(err)
		}
		unlock()
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.EnsureOrganization(t.Context(), "another"); err != nil {
			t.Errorf("a change: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if s, err = Open(t.Context(), path, Options{MustExist: true}); err != nil {
			t.Fatal(err)
		}
		all, err := s.ListOrganizations(t.Context())
		if err != nil || len(all) != 2 || all[0].Name != "new" || all[1].Name != "another" {
			t.Errorf("it has %v, %v", all, err)
		}
		s.Close()
	}
}

// descriptors returns how many file descriptors of this process lead to a file.
func descriptors(t *testing.T, path string) (n int) {
	t.Helper()
	const directory = "/proc/self/fd"
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(directory, entry.Name())); err == nil && target == path {
			n++
		}
	}
	return n
}
