//go:build !linux

package command

import "net"

// waitingConnections returns 0: how many connections wait to be accepted cannot be known.
func waitingConnections(net.Listener) int { return 0 }
