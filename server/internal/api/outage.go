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
// The first request that fails for want of the database has the database pinged, since the server may only be overloaded. While the database
// is lost, requests have no line of their own, and are counted. When it responds, outageLines of them have one in each outageInterval.
type outage struct {
	ping  func(context.Context) error
	log   *slog.Logger
	ended chan struct{}
	stop  func()

	mu       sync.Mutex
	noticed  bool // a request has failed, and follow runs
	lost     bool // and the database does not respond
	lines    int  // of requests that failed since then
	requests int  // likewise, without a line
}

const (
	outageInterval = time.Second // between two pings
	outageLines    = 10
)

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
	if o.lost || o.lines == outageLines {
		o.requests++
		return true
	}
	if o.closed() {
		return false
	}
	o.lines++
	if !o.noticed {
		o.noticed = true
		go o.follow()
	}
	return false
}

// follow pings the database until it responds, at least for outageInterval.
func (o *outage) follow() {
	begin, lost := time.Now(), false
	for {
		err := o.ping(context.Background())
		switch {
		case err == nil && lost:
			lines, others := o.end()
			o.log.Warn("the database is back", "seconds", time.Since(begin).Round(time.Millisecond).Seconds(), "failed_requests", lines+others)
			return
		case err != nil && !lost && !o.closed():
			lost = true
			o.lose(err)
		}
		select {
		case <-time.After(outageInterval):
		case <-o.ended:
			err = nil
		}
		if err == nil {
			if _, others := o.end(); others > 0 {
				o.log.Error("more requests were rejected with 503", "requests", others)
			}
			return
		}
	}
}

// lose logs that the database is lost.
func (o *outage) lose(err error) {
	o.mu.Lock()
	o.lost = true
	o.mu.Unlock()
	o.log.LogAttrs(context.Background(), slog.LevelError, "lost the database", append(databaseAttributes(err), slog.String("error", describeCause(err)))...)
}

// describeCause is describe without what the caller of a request is to do.
func describeCause(err error) string {
	if domain, ok := errors.AsType[*provider.Error](err); ok && domain.Cause != nil {
		return domain.Cause.Error()
	}
	return describe(err)
}

// end returns how many requests have failed with a line and without one, and begins again.
func (o *outage) end() (lines, others int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines, others = o.lines, o.requests
	o.noticed, o.lost, o.lines, o.requests = false, false, 0, 0
	return lines, others
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
