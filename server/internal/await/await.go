// Package await lets tests wait for a state that nothing announces, such as that of another process.
package await

import (
	"testing"
	"time"
)

// Patience is how long a test waits before it fails: many times what a busy machine needs.
const Patience = time.Minute

const pause = 5 * time.Millisecond

// State returns when is reports true, and fails the test if it does not within Patience.
func State(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !is(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen within %v: %s", Patience, what)
		}
	}
}
