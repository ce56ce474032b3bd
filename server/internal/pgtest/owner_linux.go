package pgtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the user that a server runs as.
type owner struct{ uid, gid int }

// newOwner returns the user of this process or, since PostgreSQL refuses to run as root, one without rights.
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

// give makes the owner own a folder.
func (o *owner) give(folder string) error { return os.Chown(folder, o.uid, o.gid) }

// attributes have a process run as its owner, and end at once when this one ends, killed or not.
func (o *owner) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if o.uid != os.Getuid() {
		a.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return a
}
