package command

import (
	"net"

	"golang.org/x/sys/unix"
)

// waitingConnections returns how many connections to a listener wait to be accepted, 0 if that cannot be known.
func waitingConnections(listener net.Listener) (n int) {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Unacked) // of a listener
		}
	})
	return n
}
