//go:build unix

package owner

import (
	"os"
	"path/filepath"
	"syscall"
)

// LikeDirectory gives a new file that root has created to the owner of its directory: a command that root runs may be the first to
// create it, and the server, which is another user, must be able to use it then.
func LikeDirectory(f *os.File) error {
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
