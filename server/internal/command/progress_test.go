package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuietProgress reads a file of 100 bytes where there is no terminal, 10 bytes every 4 seconds.
func TestQuietProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var out bytes.Buffer
		p := &progress{file: file, out: &out}
		p.begin("importing")
		for range 10 {
			time.Sleep(4 * time.Second)
			if _, err := p.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		p.end()
		time.Sleep(quietInterval)
		p.Read(make([]byte, 10))
		const want = "importing: 30 % after 12s, about 28s left\n" +
			"importing: 60 % after 24s, about 16s left\n" +
			"importing: 90 % after 36s, about 4s left\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", &out, want)
		}
	})
}
