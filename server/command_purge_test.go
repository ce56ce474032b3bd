package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestArchive moves a history to a file, and finds all of it in either place.
func TestArchive(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	for _, city := range []string{"one", "two"} {
		if got := a.send(request{Path: r.path(), Body: `{"city":"` + city + `"}`}); got.Status != http.StatusOK {
			t.Fatal(got)
		}
	}
	before := a.mustRun("", "history", r.id, "--json")
	file := filepath.Join(t.TempDir(), "archive")
	tomorrow, today := time.Now().Add(25*time.Hour).UTC().Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly)
	for _, c := range []struct{ day, want string }{
		{tomorrow, "in the future"}, {"2026", "write it as 2026-01-31"}, {"2020-01-01", "no event before 2020-01-01"},
	} {
		if _, stderr, _ := a.run("", "history", "archive", "--before", c.day, file); !strings.Contains(stderr, c.want) {
			t.Errorf("--before %s: %s, want %s", c.day, stderr, c.want)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file without events: %v", err)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := a.run("", "history", "archive", "--before", today, file); code == 0 || !strings.Contains(stderr, "exists") {
		t.Errorf("a file that exists: %s", stderr)
	}
	if after := a.mustRun("", "history", r.id, "--json"); after != before {
		t.Errorf("the history was\n%s\nand is\n%s", before, after)
	}
}

// TestPurge looks for a purged record's values in the files of the database.
func TestPurge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.account("acme")
	const canary = "canarybird"
	long := strings.Repeat(canary, 100) // more than a page, with the others
	r := a.newRecord()
	for _, body := range []string{`{"notes":"` + long + `","city":"` + canary + `"}`, `{"notes":"short ` + canary + `"}`, `{"notes":"` + long + `"}`} {
		if got := a.send(request{Path: r.path(), Body: body}); got.Status != http.StatusOK {
			t.Fatal(got)
		}
	}
	if _, stderr, code := a.run("", "purge", r.id); code == 0 || !strings.Contains(stderr, "is not deleted") {
		t.Errorf("before it is deleted: %s", stderr)
	}
	if got := a.send(request{Method: http.MethodDelete, Path: r.path()}); got.Status != http.StatusOK {
		t.Fatal(got)
	}
	if history := a.mustRun("", "history", r.id); !strings.Contains(history, canary) {
		t.Fatalf("the history has no value:\n%s", history)
	}
	if _, stderr, code := a.run("", "purge", r.id, "--organization", "other"); code == 0 || !strings.Contains(stderr, "other") {
		t.Errorf("another organization: %s", stderr)
	}
	a.mustRun("", "purge", r.id)
	history := a.mustRun("", "history", r.id)
	if strings.Contains(history, canary) || strings.Count(history, "\n") != 2 || !strings.Contains(history, "deleted") {
		t.Errorf("after it: %s", history)
	}
	a.mustRun("", "backup", s.database+".backup") // also of pages that are free
	s.stop()                                      // the log is copied and removed
	files, err := filepath.Glob(s.database + "*")
	if err != nil || len(files) != 3 { // and what is known of the last backup
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), canary) {
			t.Errorf("%s still has a value, or cannot be read: %v", filepath.Base(file), err)
		}
	}
}
