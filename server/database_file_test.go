package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDatabaseFile reads the database from a file, as secrets are given to services.
func TestDatabaseFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	database := filepath.Join(directory, "test.db")
	named := write("database", database+"\n")
	if _, stderr, code := run("", "migrate", "--database-file", named); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if _, err := os.Stat(database); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"both":     {[]string{"--database-file", named, "--database", database}, "--database and --database-file exclude each other"},
		"no file":  {[]string{"--database-file", named + "x"}, "--database-file: open "},
		"no value": {[]string{"--database-file", write("empty", "\n")}, "--database-file: what is in it cannot be used: it is empty"},
		"a secret": {[]string{"--database-file", write("wrong", "mysql://user:"+canary+"@host/db")}, "--database-file: what is in it cannot be used: its scheme is unknown"},
	} {
		_, stderr, code := run("", append([]string{"migrate"}, test.args...)...)
		if code != 2 || !strings.Contains(stderr, test.want) || holdsCanary(stderr) {
			t.Errorf("%s: exit code %d, %s; want %s", name, code, stderr, test.want)
		}
	}
}
