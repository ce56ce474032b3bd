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
	"github.com/google/uuid"
)

// TestCrash kills the server, and PostgreSQL under it, while records are changed, and holds what is there against what
// the callers were told: what was acknowledged is there, what was refused is not, and a change whose outcome was left
// open was made wholly, with its version and its line in the history, or not at all. A process that is killed is no power
// cut: that commits wait for the disk is a test of the stores.
//
// It crashes a few times; for as long as the environment's TORTURE says, such as 10m, if that is set. See make torture.
func TestCrash(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		torture(t, &victim{t: t, database: filepath.Join(t.TempDir(), "test.db")})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		instance := pgtest.Start(t, pgserver.Options{Durable: true})
		torture(t, &victim{t: t, database: instance.Database(t), instance: instance})
	})
}

func torture(t *testing.T, v *victim) {
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
		all     []*witness
	)
	defer finish()
	for w := range writers {
		var own []*witness
		for _, r := range records[w*perWriter : (w+1)*perWriter] {
			own = append(own, &witness{victim: v, customer: uuid.MustParse(r.customer), id: uuid.MustParse(r.id), version: 1, notes: "old notes", told: map[int64]string{}})
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
			w.holdHistory()
		}
	}
	v.kill()
	t.Logf("%d crashes, %d changes acknowledged, %d refused, %d left open, of which %d were made",
		crashes, v.acknowledged.Load(), v.refused.Load(), v.open.Load(), v.openMade.Load())
}

// victim is a server that is killed and started again, on one database.
type victim struct {
	t        *testing.T
	database string
	instance *pgtest.Server // nil if the database is SQLite's

	process process
	account account
	dialer  dialer
	client  *client.Client

	acknowledged, refused, open, openMade atomic.Int64
}

func (v *victim) start() {
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
	v.client, err = client.New(v.account.key, client.WithBaseURL("http://victim.example"), client.WithTransport(transport), client.WithoutRetries())
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) kill() {
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

// waitForChanges returns when n more were acknowledged.
func (v *victim) waitForChanges(n int64) {
	v.t.Helper()
	goal := v.acknowledged.Load() + n
	defer func() {
		if v.acknowledged.Load() < goal {
			v.t.Logf("after a crash no changes are made:\n%s", v.process.stderr)
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

// witness is the only one who changes a record, and knows what must be there.
type witness struct {
	victim       *victim
	customer, id uuid.UUID
	version      int64
	notes        string
	open         string           // what was sent and may have been saved; empty if nothing is open
	told         map[int64]string // the notes of the versions that were acknowledged or found
}

// change sends one change. The record's next version must be its, unless its outcome is left open.
func (w *witness) change(notes string) {
	w.settle()
	record, err := w.update(client.ProviderUpdate{Notes: client.Set(notes)})
	refused, answered := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		w.expect(record, w.version+1, notes)
		w.victim.acknowledged.Add(1)
	case answered && refused.Code == "SERVICE_UNAVAILABLE", errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrOutcomeUnknown):
		w.victim.refused.Add(1) // not made: the next version is the next change's
		time.Sleep(time.Millisecond)
	case errors.Is(err, client.ErrOutcomeUnknown):
		w.open = notes
		w.victim.open.Add(1)
	default:
		w.victim.t.Errorf("a change ended with %v", err)
	}
}

// settle finds out whether the change that is open was made. It asks with a change of nothing, which comes after all that
// the database has still in flight.
func (w *witness) settle() {
	for deadline := time.Now().Add(await.Patience); w.open != "" && !w.victim.t.Failed(); {
		if time.Now().After(deadline) {
			w.victim.t.Error("after a crash no change is answered")
		}
		record, err := w.update(client.ProviderUpdate{})
		switch {
		case err == nil && record.ETag == etag(w.version):
			w.open = ""
			w.expect(record, w.version, w.notes)
		case err == nil:
			w.victim.openMade.Add(1)
			made := w.open
			w.open = ""
			w.expect(record, w.version+1, made)
		case errors.Is(err, client.ErrUnavailable):
			time.Sleep(time.Millisecond)
		default:
			w.victim.t.Errorf("a change of nothing ended with %v", err)
		}
	}
}

func (w *witness) update(u client.ProviderUpdate) (*client.Record, error) {
	return w.victim.client.UpdateProvider(context.Background(), w.customer, w.id, u)
}

func (w *witness) expect(record *client.Record, version int64, notes string) {
	if record.ETag != etag(version) || record.Notes == nil || *record.Notes != notes {
		w.victim.t.Errorf("version %s of a record has the notes %s; want version %d with %q", record.ETag, asJSON(record.Notes), version, notes)
	}
	w.version, w.notes = version, notes
	w.told[version] = notes
}

// holdHistory holds the history against what the callers were told: it has each version once, without a gap.
func (w *witness) holdHistory() {
	want := w.version
	for entry, err := range w.victim.client.ProviderHistory(context.Background(), w.customer, w.id) {
		if err != nil {
			w.victim.t.Errorf("read the history: %v", err)
			return
		}
		if entry.Version != want {
			w.victim.t.Errorf("the history has version %d where %d should be", entry.Version, want)
			return
		}
		if told, found := w.told[want]; want > 1 && (!found || len(entry.Changes) != 1 || entry.Changes[0].To != told) {
			w.victim.t.Errorf("the history says of version %d that it made %v; want the notes %q", want, entry.Changes, told)
		}
		want--
	}
	if want != 0 {
		w.victim.t.Errorf("the history ends before version %d", want)
	}
}

func etag(version int64) string { return fmt.Sprintf("%q", strconv.FormatInt(version, 10)) }
