package postgres_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and its server, counts round trips, and can lose a response.
type proxy struct {
	dsn        string // of the server, through the proxy
	server     string // the path of its socket
	roundTrips atomic.Int64
	lost       atomic.Int64 // the round trip whose response is to be lost
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	directory, err := os.MkdirTemp("/tmp", "proxy-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	p := &proxy{server: filepath.Join(mustParse(t, dsn).Query().Get("host"), socket)}
	p.dsn = with(t, dsn, func(u *url.URL) {
		q := u.Query()
		q.Set("host", directory)
		u.RawQuery = q.Encode()
	})
	l, err := net.Listen("unix", filepath.Join(directory, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

// loseResponse has the response to the n-th round trip from now on be lost, with its connection, once the server has given it.
func (p *proxy) loseResponse(n int64) { p.lost.Store(p.roundTrips.Load() + n) }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var losing atomic.Bool
	go func() {
		defer server.Close()
		p.forward(client, server, &losing)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil || losing.Load() {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// forward hands the client's messages to the server. All but the first begin with their type.
func (p *proxy) forward(client io.Reader, server io.Writer, losing *atomic.Bool) {
	r, w := bufio.NewReader(client), bufio.NewWriter(server)
	for header := 4; ; header = 5 {
		start := make([]byte, header)
		if _, err := io.ReadFull(r, start); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(start[header-4:])-4)
		if _, err := io.ReadFull(r, rest); err != nil {
			return
		}
		kind, ping := start[0], bytes.Contains(rest, []byte("-- ping")) // of the pool, over a connection that was idle for a second
		if header == 5 && (kind == 'S' || kind == 'Q') && !ping {       // the server responds to a Sync or a Query
			if p.roundTrips.Add(1) == p.lost.Load() {
				losing.Store(true)
			}
		}
		w.Write(append(start, rest...))
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}
