package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
)

// outage notices when the database is lost and when it is back, and logs each once, instead of a line for each request in between.
//
// The first request that fails for want of the database has a line of its own, and has the database pinged, since the server may
// only be overloaded. Those that fail in the next outageInterval, or until the database is back, are counted.
type outage struct {
	ping  func(context.Context) error
	log   *slog.Logger
	ended chan struct{}
	stop  func()

	mu       sync.Mutex
	noticed  bool // a request has failed, and follow runs
	requests int  // that failed since then, without a line
}

// outageInterval is how often a database that is lost is pinged.
const outageInterval = time.Second

func newOutage(ping func(context.Context) error, log *slog.Logger) *outage {
	o := &outage{ping: ping, log: log, ended: make(chan struct{})}
	o.stop = sync.OnceFunc(func() { close(o.ended) })
	return o
}

// explains reports whether a request whose error is err gets no line of its own.
func (o *outage) explains(err error) bool {
	if err == nil || o == nil || provider.CodeOf(err) != provider.CodeUnavailable || errors.Is(err, context.Canceled) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.noticed {
		o.requests++
		return true
	}
	if o.closed() {
		return false
	}
	o.noticed = true
	go o.follow()
	return false
}

// follow pings the database until it responds, at least for outageInterval.
func (o *outage) follow() {
	begin, lost := time.Now(), false
	for {
		err := o.ping(context.Background())
		back := time.Now()
		if err != nil && !lost && !o.closed() {
			lost = true
			o.log.LogAttrs(context.Background(), slog.LevelError, "lost the database", append(databaseAttributes(err), slog.String("error", describeCause(err)))...)
		}
		if err == nil && lost {
			o.log.Warn("the database is back", "seconds", back.Sub(begin).Round(time.Millisecond).Seconds(), "failed_requests", o.end())
			return
		}
		select {
		case <-time.After(outageInterval):
		case <-o.ended:
			err = nil
		}
		if err == nil {
			if requests := o.end(); requests > 0 {
				o.log.Error("more requests were rejected with 503", "requests", requests)
			}
			return
		}
	}
}

// describeCause is describe without what the caller of a request is to do.
func describeCause(err error) string {
	if domain, ok := errors.AsType[*provider.Error](err); ok && domain.Cause != nil {
		return domain.Cause.Error()
	}
	return describe(err)
}

// end returns how many requests have failed without a line, and begins again.
func (o *outage) end() (requests int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	requests, o.requests, o.noticed = o.requests, 0, false
	return requests
}

// close ends follow, and does not wait for a ping, which can take seconds. It can be called again.
func (o *outage) close() { o.stop() }

func (o *outage) closed() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}
