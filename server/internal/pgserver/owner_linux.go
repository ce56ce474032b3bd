package pgserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the user that a server runs as.
type owner struct{ uid, gid int }

// newOwner returns the user of this process. PostgreSQL does not run as root; then it is a user without rights.
func newOwner() (*owner, error) {
	if os.Getuid() != 0 {
		return &owner{os.Getuid(), os.Getgid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		return &owner{uid, gid}, err
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// give sets the owner of a directory.
func (o *owner) give(directory string) error { return os.Chown(directory, o.uid, o.gid) }

// attributes have a process run as its owner, and end when this process ends, even if it is killed.
func (o *owner) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if o.uid != os.Getuid() {
		a.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return a
}
