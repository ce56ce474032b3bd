package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
)

// TestCrash kills the server, and PostgreSQL under it, while records are changed, and compares the database with the responses that
// the callers got: every acknowledged change exists, no rejected one does, and a change of unknown outcome was applied completely,
// with its version and its event, or not at all. Killing a process is no power cut: that commits wait for the disk is a test of the
// stores.
//
// It crashes a few times, or for as long as the environment variable TORTURE says, such as 10m. See make torture.
func TestCrash(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		torture(t, &crashingServer{t: t, database: filepath.Join(t.TempDir(), "test.db")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		instance := pgtest.Start(t, pgserver.Options{Durable: true})
		torture(t, &crashingServer{t: t, database: instance.Database(t), instance: instance})
	})
}

func torture(t *testing.T, v *crashingServer) {
	const (
		writers    = 16
		perWriter  = 16
		minCrashes = 4
	)
	var duration time.Duration
	if text := os.Getenv("TORTURE"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("TORTURE is no duration such as 10m: %v", err)
		}
	}
	v.start()
	records := v.account.newRecords(writers * perWriter)
	var (
		writing sync.WaitGroup
		stop    = make(chan struct{})
		finish  = sync.OnceFunc(func() { close(stop); writing.Wait() })
		all     []*writer
	)
	defer finish()
	for w := range writers {
		var own []*writer
		for _, r := range records[w*perWriter : (w+1)*perWriter] {
			customer, id := r.ids()
			own = append(own, &writer{server: v, customer: customer, id: id, version: 1, notes: "old notes", acknowledged: map[int64]string{}})
		}
		all = append(all, own...)
		writing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					for _, w := range own {
						w.settle()
					}
					return
				default:
					own[rand.IntN(len(own))].change(strconv.Itoa(n))
				}
			}
		})
	}
	begin, crashes := time.Now(), 0
	for ; !t.Failed() && (crashes < minCrashes || time.Since(begin) < duration); crashes++ {
		v.waitForChanges(20 + rand.Int64N(400))
		if v.instance != nil && crashes%2 == 0 {
			v.instance.Stop(t)
			v.instance.Start(t)
		} else {
			v.kill()
			v.start()
		}
	}
	v.waitForChanges(100)
	finish()
	for _, w := range all {
		if !t.Failed() {
			w.checkHistory()
		}
	}
	v.kill()
	t.Logf("%d crashes, %d changes acknowledged, %d rejected, %d of unknown outcome, of which %d were applied",
		crashes, v.acknowledged.Load(), v.rejected.Load(), v.open.Load(), v.openApplied.Load())
}

// crashingServer is a server that is killed and started again, on one database.
type crashingServer struct {
	t        *testing.T
	database string
	instance *pgtest.Server // nil if the database is SQLite's

	process process
	account account
	dialer  dialer
	client  *client.Client

	acknowledged, rejected, open, openApplied atomic.Int64
}

func (v *crashingServer) start() {
	v.t.Helper()
	server, process := replica(v.t, v.database)
	v.process = process
	v.dialer.setAddress(strings.TrimPrefix(server.url, "http://"))
	if v.client != nil {
		return
	}
	v.account = server.account("acme")
	transport := &http.Transport{DialContext: v.dialer.dial, MaxIdleConnsPerHost: 100}
	v.t.Cleanup(transport.CloseIdleConnections)
	var err error
	v.client, err = client.New(v.account.key, client.WithBaseURL("http://server.example"), client.WithTransport(transport), client.WithoutRetries())
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *crashingServer) kill() {
	v.t.Helper()
	v.dialer.setAddress("")
	v.process.Process.Kill()
	v.process.Wait()
	log := v.process.stderr.String()
	ended, ok := v.process.ProcessState.Sys().(syscall.WaitStatus)
	if ok && !ended.Signaled() || strings.Contains(log, "DATA RACE") {
		v.t.Errorf("before it was killed the server ended, with %v, or found a race:\n%s", v.process.ProcessState, log)
	}
	v.process.stderr.text = bytes.Buffer{} // thousands of them are kept otherwise
}

// waitForChanges returns when n more changes were acknowledged.
func (v *crashingServer) waitForChanges(n int64) {
	v.t.Helper()
	goal := v.acknowledged.Load() + n
	defer func() {
		if v.acknowledged.Load() < goal {
			v.t.Logf("after a crash no change succeeds:\n%s", v.process.stderr)
		}
	}()
	await.State(v.t, fmt.Sprint(n, " changes"), func() bool { return v.acknowledged.Load() >= goal || v.t.Failed() })
}

// dialer connects clients to a server that restarts on another port each time. While the server is down it refuses to
// dial: another program may listen on the former port by then.
type dialer struct {
	mu      sync.RWMutex
	address string // empty while the server is down
}

func (d *dialer) setAddress(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = address
}

func (d *dialer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.address == "" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return new(net.Dialer).DialContext(ctx, network, d.address)
}

// writer is the only one to change its record, and so knows its state.
type writer struct {
	server       *crashingServer
	customer     client.CustomerID
	id           client.ProviderID
	version      int64
	notes        string
	open         string           // the notes that were sent and may have been saved; empty if there are none
	acknowledged map[int64]string // the notes of the versions that were acknowledged or found
}

// change sends one change, which must become the record's next version unless its outcome is unknown.
func (w *writer) change(notes string) {
	w.settle()
	record, err := w.update(client.ProviderUpdate{Notes: client.Set(notes)})
	rejected, responded := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		w.expect(record, w.version+1, notes)
		w.server.acknowledged.Add(1)
	case responded && rejected.Code == "SERVICE_UNAVAILABLE", errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrOutcomeUnknown):
		w.server.rejected.Add(1) // not applied: the next version is the next change's
		time.Sleep(time.Millisecond)
	case errors.Is(err, client.ErrOutcomeUnknown):
		w.open = notes
		w.server.open.Add(1)
	default:
		w.server.t.Errorf("a change ended with %v", err)
	}
}

// settle finds out whether the change of unknown outcome was applied. It sends an empty change, which the database handles after every
// transaction in flight.
func (w *writer) settle() {
	for deadline := time.Now().Add(await.Patience); w.open != "" && !w.server.t.Failed(); {
		if time.Now().After(deadline) {
			w.server.t.Error("after a crash no change gets a response")
		}
		record, err := w.update(client.ProviderUpdate{})
		switch {
		case err == nil && record.ETag == etag(w.version):
			w.open = ""
			w.expect(record, w.version, w.notes)
		case err == nil:
			w.server.openApplied.Add(1)
			applied := w.open
			w.open = ""
			w.expect(record, w.version+1, applied)
		case errors.Is(err, client.ErrUnavailable):
			time.Sleep(time.Millisecond)
		default:
			w.server.t.Errorf("a change of nothing ended with %v", err)
		}
	}
}

func (w *writer) update(u client.ProviderUpdate) (*client.Record, error) {
	return w.server.client.UpdateProvider(context.Background(), w.customer, w.id, u)
}

func (w *writer) expect(record *client.Record, version int64, notes string) {
	if record.ETag != etag(version) || record.Notes == nil || *record.Notes != notes {
		w.server.t.Errorf("version %s of a record has the notes %s; want version %d with %q", record.ETag, asJSON(record.Notes), version, notes)
	}
	w.version, w.notes = version, notes
	w.acknowledged[version] = notes
}

// checkHistory compares the history with the responses: it has each version once, without a gap.
func (w *writer) checkHistory() {
	want := w.version
	for entry, err := range w.server.client.ProviderHistory(context.Background(), w.customer, w.id) {
		if err != nil {
			w.server.t.Errorf("read the history: %v", err)
			return
		}
		if entry.Version != want {
			w.server.t.Errorf("the history has version %d where %d should be", entry.Version, want)
			return
		}
		if acknowledged, found := w.acknowledged[want]; want > 1 && (!found || len(entry.Changes) != 1 || entry.Changes[0].To != acknowledged) {
			w.server.t.Errorf("the history has for version %d the changes %v; want the notes %q", want, entry.Changes, acknowledged)
		}
		want--
	}
	if want != 0 {
		w.server.t.Errorf("the history ends before version %d", want)
	}
}

func etag(version int64) string { return fmt.Sprintf("%q", strconv.FormatInt(version, 10)) }
