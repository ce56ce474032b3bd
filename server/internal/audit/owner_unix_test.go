//go:build unix

package audit

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwner has root create a file in the directory of another user, who owns the file then.
func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can create a file of another user; run this test as root")
	}
	const user = 12345
	directory := t.TempDir()
	if err := os.Chown(directory, user, user); err != nil {
		t.Fatal(err)
	}
	trail, err := Open(filepath.Join(directory, "audit.log"), options())
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	info, err := os.Stat(filepath.Join(directory, "audit.log"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != user || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
