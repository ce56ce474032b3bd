package sqlite

import (
	"time"

	"golang.org/x/sys/unix"
)

// pathInterval is how often the paths of the files are checked. In between a deleted file is noticed at once, and one that was
// renamed keeps what is written to it.
const pathInterval = 100 * time.Millisecond

// inode knows whether a file still has a name.
type inode struct{ fd int }

// openInode opens a path with O_PATH: closing any other descriptor of a database would release SQLite's locks on it.
func openInode(path string) (inode, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	return inode{fd}, err
}

func (i inode) deleted() bool {
	var stat unix.Stat_t
	return unix.Fstat(i.fd, &stat) != nil || stat.Nlink == 0
}

func (i inode) close() {
	if i.fd > 0 {
		unix.Close(i.fd)
	}
}
