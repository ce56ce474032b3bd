package command

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// address is the HOST:PORT of a listener, unix: and the path of a socket, or systemd. An empty host means every interface; port 0 means
// any free port.
type address string

// fromSystemd is the address of the socket that the service manager has opened.
const fromSystemd address = "systemd"

// UnmarshalText checks a flag's value. An empty one would be a random port on every interface.
func (a *address) UnmarshalText(text []byte) error {
	*a = address(text)
	if *a == fromSystemd {
		return nil
	}
	if path, ok := a.socket(); ok {
		if !filepath.IsAbs(path) || hasBlanks(path) {
			return errors.New("a socket must have an absolute path, such as unix:/run/carecycle/api.sock")
		}
		return nil
	}
	_, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || hasBlanks(string(text)) {
		return errors.New("it must be HOST:PORT, such as 127.0.0.1:8080, with a port from 0 to 65535")
	}
	return nil
}

// socket returns the path of a Unix socket.
func (a address) socket() (path string, ok bool) { return strings.CutPrefix(string(a), "unix:") }

// onLoopback reports whether only programs on this machine can connect to the address.
func (a address) onLoopback() bool {
	host, _, _ := net.SplitHostPort(string(a))
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// adminAddress is an address, or off.
type adminAddress struct {
	address
	off bool
}

// UnmarshalText checks a flag's value.
func (a *adminAddress) UnmarshalText(text []byte) error {
	if a.off = string(text) == "off"; a.off {
		return nil
	}
	if address(text) == fromSystemd {
		return errors.New("systemd passes the socket of --addr only; give HOST:PORT, or off")
	}
	if err := a.address.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w; off switches the listener off", err)
	}
	return nil
}

// pathPrefix is what all paths begin with, such as /api.
type pathPrefix string

// A segment begins with a letter or a digit, so that none is .. or empty.
var validPrefix = regexp.MustCompile(`^(/[A-Za-z0-9][A-Za-z0-9._~-]*)+$`)

// UnmarshalText checks a flag's value.
func (p *pathPrefix) UnmarshalText(text []byte) error {
	if *p = pathPrefix(text); !validPrefix.Match(text) {
		return errors.New("it must begin with a slash and end without one, such as /api, and have letters, digits, -, ., _ and ~ only")
	}
	return nil
}

// String returns the flag's value.
func (a adminAddress) String() string {
	if a.off {
		return "off"
	}
	return string(a.address)
}

// network is a range of IP addresses in CIDR notation.
type network struct{ *net.IPNet }

// UnmarshalText reads a flag's value.
func (n *network) UnmarshalText(text []byte) error {
	ip, parsed, err := net.ParseCIDR(string(text))
	if err != nil || !ip.Equal(parsed.IP) {
		return errors.New("it must be a network in CIDR notation, such as 10.0.0.0/8 or 192.0.2.7/32")
	}
	n.IPNet = parsed
	return nil
}

// hasBlanks reports whether a text has white space or control characters, which a shell or a file may have added.
func hasBlanks(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}
