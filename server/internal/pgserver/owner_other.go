//go:build !linux

package pgserver

import "syscall"

// owner is the user that a server runs as: the one of this process.
type owner struct{}

func newOwner() (*owner, error)                 { return &owner{}, nil }
func (*owner) give(string) error                { return nil }
func (*owner) attributes() *syscall.SysProcAttr { return nil }
