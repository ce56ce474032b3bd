package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/command"
	"golang.org/x/sys/unix"
)

// TestProgress imports on a terminal. It shows bars, and leaves none of them behind.
func TestProgress(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "lines.ndjson")
	const line = `{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Hospital"}` + "\n"
	if err := os.WriteFile(file, []byte(strings.Repeat(line, 4000)+"{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const invalid, cleared = "line 4001: customerId is required. providerType is required.\r\n", "\x1b[2K\r"
	for _, tt := range []struct {
		flag, last string
		code       int
		want       []string
	}{
		{"--skip-invalid=false", "carecycle-server: import: 1 line is invalid, so nothing was imported; fix them, or import the others with --skip-invalid", 1, []string{"checking", cleared + invalid}},
		{"--skip-invalid", "imported 4000 records: 1 new, 0 changed, 3999 unchanged; skipped 1 invalid line", 0, []string{"importing", invalid}},
	} {
		stderr, screen := terminal(t)
		code := command.Run(context.Background(), []string{"import", file, "--organization", "acme", "--database", filepath.Join(directory, "test.db"), tt.flag}, nil, io.Discard, stderr)
		stderr.Close()
		text := <-screen
		for _, want := range append(tt.want, "% |", "B/s)", cleared+tt.last+"\r\n") {
			if code != tt.code || !strings.Contains(text, want) {
				t.Errorf("%s: exit code %d, no %q in\n%q", tt.flag, code, want, text)
			}
		}
	}
}

// TestCopyProgress backs up and restores on a terminal.
func TestCopyProgress(t *testing.T) {
	t.Parallel()
	database, backup := filled(t, 1000), filepath.Join(t.TempDir(), "backup.db")
	for _, c := range []struct {
		args []string
		told string
	}{
		{[]string{"backup", backup, "--database", database}, "backed up 1000 records with 1000 versions: "},
		{[]string{"restore", backup, "--force", "--database", database}, "restored 1000 records with 1000 versions: "},
	} {
		stderr, screen := terminal(t)
		code := command.Run(context.Background(), c.args, nil, io.Discard, stderr)
		stderr.Close()
		text := <-screen
		for _, want := range []string{"copying", "% |", "\x1b[2K\r" + c.told} {
			if code != 0 || !strings.Contains(text, want) {
				t.Errorf("%s: exit code %d, no %q in\n%q", c.args[0], code, want, text)
			}
		}
	}
}

// terminal returns a terminal, and what was written to it once it is closed.
func terminal(t *testing.T) (*os.File, <-chan string) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there is no terminal here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writer.Close() })
	written := make(chan string, 1)
	go func() {
		var text bytes.Buffer
		io.Copy(&text, screen) // ends with an error when nobody has the terminal any more
		written <- text.String()
	}()
	return writer, written
}
