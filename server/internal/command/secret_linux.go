package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// checkReader fails if a file is a pipe or a socket that nobody reads.
func checkReader(file *os.File) error {
	poll := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLOUT}}
	if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 {
		return errors.New("nobody reads standard output")
	}
	return nil
}
