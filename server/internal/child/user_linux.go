package child

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// User is a user that commands run as.
type User struct{ uid, gid int }

// Unprivileged returns the user of this process or, if that is root, a user without rights: PostgreSQL and PgBouncer do not run as root.
func Unprivileged() (User, error) {
	if os.Getuid() != 0 {
		return User{os.Getuid(), os.Getgid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return User{}, err
		}
		gid, err := strconv.Atoi(u.Gid)
		return User{uid, gid}, err
	}
	return User{}, errors.New("some programs do not run as root, and there is no user postgres or nobody to run them as")
}

// Own makes the user the owner of a directory.
func (u User) Own(directory string) error { return os.Chown(directory, u.uid, u.gid) }

// Command returns a command that runs as the user, and ends with the thread that starts it: see Start.
func (u User) Command(program string, arguments ...string) *exec.Cmd {
	c := exec.Command(program, arguments...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if u.uid != os.Getuid() {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}
	}
	return c
}
