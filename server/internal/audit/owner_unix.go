//go:build unix

package audit

import (
	"os"
	"path/filepath"
	"syscall"
)

// ownLikeDirectory gives a new file that root has created to the owner of its directory: a command that root runs may be the first to
// write after a rotation, and the server, which is another user, must be able to write then.
func ownLikeDirectory(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
