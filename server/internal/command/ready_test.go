package command

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadiness counts the probes of a database that hangs, fails and recovers.
func TestReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probes, takes, failure := 0, time.Duration(0), error(nil)
		r := &readiness{probe: func(context.Context) error {
			probes++
			time.Sleep(takes)
			return failure
		}}
		scrape := func(name string, want bool, wantTook time.Duration, wantProbes int) {
			t.Helper()
			start := time.Now()
			got := r.scrape()
			synctest.Wait()
			if took := time.Since(start); got != want || took != wantTook || probes != wantProbes {
				t.Errorf("%s: got %t after %v and %d probes, want %t after %v and %d", name, got, took, probes, want, wantTook, wantProbes)
			}
		}
		scrape("ready", true, 0, 1)
		scrape("again at once", true, 0, 1)
		time.Sleep(probeInterval)
		takes, failure = time.Minute, errors.New("down")
		scrape("the database hangs", false, scrapeTimeout, 2)
		scrape("the same probe", false, scrapeTimeout, 2)
		left, leave := context.WithCancel(t.Context())
		leave()
		if err := r.check(left); !errors.Is(err, context.Canceled) || probes != 2 {
			t.Errorf("a caller that left: %v after %d probes", err, probes)
		}
		if err := r.check(t.Context()); err != failure || probes != 2 {
			t.Errorf("/readyz, which waits for the probe: %v after %d probes", err, probes)
		}
		scrape("its result", false, 0, 2)
		time.Sleep(probeInterval)
		takes, failure = 0, nil
		scrape("ready again", true, 0, 3)
	})
}
