package command

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuietProgress imports 100 bytes where there is no terminal, 10 bytes every 4 seconds.
func TestQuietProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{out: &out}
		p.beginSize("importing", 100)
		for range 10 {
			time.Sleep(4 * time.Second)
			p.add(10)
		}
		p.end()
		time.Sleep(quietInterval)
		p.add(10)
		const want = "importing: 30 % after 12s, about 28s left\n" +
			"importing: 60 % after 24s, about 16s left\n" +
			"importing: 90 % after 36s, about 4s left\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", &out, want)
		}
	})
}
