package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fullDisk mounts a small file system and returns a path on it, and functions that fill it and free it.
func fullDisk(t *testing.T) (path string, fill, free func()) {
	t.Helper()
	directory := t.TempDir()
	if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, "size=64k"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("this test mounts a small file system; run it as root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(directory, syscall.MNT_DETACH) })
	ballast := filepath.Join(directory, "ballast")
	fill = func() { os.WriteFile(ballast, make([]byte, 64<<10), 0o600) } // fails half way
	free = func() { os.Remove(ballast) }
	return filepath.Join(directory, "audit.log"), fill, free
}

// TestAuditFullDisk fills the disk of the audit trail. Requests are refused before they do anything, the one change that was in flight
// has an unknown outcome and a line later, and the server goes on when there is room.
func TestAuditFullDisk(t *testing.T) {
	t.Parallel()
	trail, fill, free := fullDisk(t)
	a := serve(t, filepath.Join(t.TempDir(), "test.db"), "--audit", trail).account("acme")
	r := a.newRecord()
	change := func(city string) response {
		return a.send(request{Path: r.path(), Body: `{"city":"` + city + `"}`})
	}
	fill()
	var first response
	n := 0
	for first.Status != http.StatusServiceUnavailable { // what is left of the last page takes some lines
		n++
		first = change(fmt.Sprint("city ", n))
	}
	if !strings.Contains(first.Body, "OUTCOME_UNKNOWN") {
		t.Errorf("the change that the trail has no room for: %s", first.Body)
	}
	events := func() int { return strings.Count(a.mustRun("", "history", r.id, "--json"), "\n") }
	before := events()
	for _, request := range []request{{Path: r.path(), Body: `{"city":"refused"}`}, {Method: "GET", Path: r.path()}, {Method: "DELETE", Path: r.path()}} {
		if got := a.send(request); got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "SERVICE_UNAVAILABLE") || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", request.Method, got.Status, got.Body)
		}
	}
	awaitStatus(t, http.StatusServiceUnavailable, func() response { return a.send(request{Method: "GET", Path: "/readyz"}) })
	if after := events(); after != before || before != n+1 {
		t.Errorf("%d events, then %d; want %d", before, after, n+1)
	}

	free()
	awaitStatus(t, http.StatusOK, func() response { return change("after") })
	awaitStatus(t, http.StatusOK, func() response { return a.send(request{Method: "GET", Path: "/readyz"}) })
	a.stop()
	found, gap := false, false
	text, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		found = found || strings.Contains(l, first.Header.Get("X-Request-Id")) && strings.Contains(l, "OUTCOME_UNKNOWN") && strings.HasSuffix(l, "}\n")
		gap = gap || strings.Contains(l, `"auditResumed"`)
	}
	if !found || !gap {
		t.Errorf("the change of unknown outcome has a line: %t, the gap: %t\n%s", found, gap, text)
	}
}

// TestAuditContinue fills the disk of an audit trail that may have gaps: requests are served, and counted.
func TestAuditContinue(t *testing.T) {
	t.Parallel()
	trail, fill, free := fullDisk(t)
	a := serve(t, filepath.Join(t.TempDir(), "test.db"), "--audit", trail, "--audit-failure", "continue").account("acme")
	path := a.newRecord().path()
	get := func() {
		if got := a.send(request{Method: "GET", Path: path}); got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	fill()
	for !strings.Contains(a.log.String(), "cannot be written") {
		get()
	}
	counted := func() (lost int) {
		_, text, _ := strings.Cut(a.metrics(), "\ncarecycle_audit_lost_total ")
		fmt.Sscan(text, &lost)
		return lost
	}
	before := counted()
	for range 10 {
		get()
	}
	lost := counted()
	if before < 1 || lost != before+10 {
		t.Errorf("the metrics count %d lines as lost, and after 10 requests %d", before, lost)
	}
	free()
	a.log.waitFor(t, "written again")
	a.stop()
	text, err := os.ReadFile(trail)
	if want := fmt.Sprintf(`"lost":%d}`, lost); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("the trail does not tell of the gap with %s: %v\n%s", want, err, text)
	}
}
