package postgres

import (
	"testing"
	"testing/synctest"
	"time"
)

// Nothing is reported once a command has gone on: its streams may be gone.
func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports, reporting := 0, false
		w := newWaiting(func(string) {
			reporting = true
			time.Sleep(time.Second)
			reports++
			reporting = false
		})
		w.set("another process")
		time.Sleep(waitingInterval + time.Millisecond) // in the first report
		w.end()
		if reports != 1 || reporting {
			t.Errorf("%d reports have ended, and one has not: %t", reports, reporting)
		}
	})
}
