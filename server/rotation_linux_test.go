package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
)

// TestDocumentedRotation rotates the audit trail of a server with the documented configuration of logrotate, and finds all reads of a record in
// the files with the documented command.
func TestDocumentedRotation(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("logrotate")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/logrotate")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("logrotate is not installed; apt-get install logrotate")
		}
		t.Skip("logrotate is not installed; apt-get install logrotate")
	}
	directory := t.TempDir()
	trail, configuration := filepath.Join(directory, "audit.log"), filepath.Join(directory, "logrotate.conf")
	const documented = "/var/lib/carecycle-server/audit.log {"
	_, block, _ := strings.Cut(documentation(t), documented)
	block, _, _ = strings.Cut(block, "```")
	if err := os.WriteFile(configuration, []byte(trail+" {"+block), 0o644); err != nil {
		t.Fatal(err)
	}
	a := serve(t, filepath.Join(t.TempDir(), "test.db"), "--audit", trail).account("acme")
	r := a.newRecord()
	read := func() {
		t.Helper()
		if got := a.send(request{Method: "GET", Path: r.path()}); got.Status != 200 {
			t.Fatalf("got %d %s", got.Status, got.Body)
		}
	}
	const files = 3
	for n := range files {
		read()
		await.State(t, "the trail is there", func() bool { _, err := os.Stat(trail); return err == nil })
		if n == files-1 {
			break
		}
		rotate := exec.Command(program, "--force", "--state", filepath.Join(directory, "state"), configuration)
		if out, err := rotate.CombinedOutput(); err != nil {
			t.Fatalf("logrotate: %v\n%s", err, out)
		}
		rotated, err := filepath.Glob(trail + "-2*")
		if err != nil || len(rotated) == 0 {
			t.Fatalf("no rotated file: %v", err)
		}
		newest := rotated[len(rotated)-1]
		if err := os.Rename(newest, trail+"-2026010"+string(rune('1'+n))); err != nil { // as if it had been a while ago
			t.Fatal(err)
		}
	}
	if compressed, _ := filepath.Glob(trail + "-*.gz"); len(compressed) != files-2 {
		t.Errorf("%d compressed files, want %d", len(compressed), files-2)
	}
	command := "audit search audit.log-* audit.log --record " + exampleID
	if !strings.Contains(documentation(t), "\ncarecycle-server "+command) {
		t.Fatalf("the documentation lacks %q", command)
	}
	search := exec.Command("sh", "-c", `exec "$0" `+strings.Replace(command, exampleID, r.id, 1), os.Args[0])
	search.Dir, search.Env = directory, append(os.Environ(), asProgram+"=1")
	out, err := search.CombinedOutput()
	if n := strings.Count(string(out), "\tgetCustomerProvider\t"); err != nil || n != files {
		t.Errorf("%d reads were found, want %d: %v\n%s", n, files, err, out)
	}
}
