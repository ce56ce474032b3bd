package sqlite

import (
	"time"

	"golang.org/x/sys/unix"
)

// pathInterval is how often the paths of the files are checked. In between a deleted file is noticed at once, and one that was
// renamed keeps what is written to it.
const pathInterval = 100 * time.Millisecond

// names knows whether a file has a name.
type names struct{ fd int }

// openNames opens a path with O_PATH: closing any other descriptor of a database would release SQLite's locks on it.
func openNames(path string) (names, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	return names{fd}, err
}

func (n names) deleted() bool {
	var stat unix.Stat_t
	return unix.Fstat(n.fd, &stat) != nil || stat.Nlink == 0
}

func (n names) close() {
	if n.fd > 0 {
		unix.Close(n.fd)
	}
}
