//go:build !linux

package child

import "os/exec"

// User is a user that commands run as: the one of this process.
type User struct{}

// Unprivileged returns the user of this process.
func Unprivileged() (User, error) { return User{}, nil }

// Own does nothing.
func (User) Own(string) error { return nil }

// Command returns a command.
func (User) Command(program string, arguments ...string) *exec.Cmd {
	return exec.Command(program, arguments...)
}
