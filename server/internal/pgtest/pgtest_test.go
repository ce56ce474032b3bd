package pgtest_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, dsn string) (*pgx.Conn, error) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		t.Cleanup(func() { c.Close(context.Background()) })
	}
	return c, err
}

func TestEachTestHasADatabase(t *testing.T) {
	for _, name := range []string{"one", "another"} {
		t.Run(name, func(t *testing.T) {
			c, err := connect(t, pgtest.New(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Exec(t.Context(), "CREATE TABLE mine ()"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAServerStopsAndStarts(t *testing.T) {
	s := pgtest.Start(t, pgserver.Options{Durable: true})
	dsn := s.Database(t)
	c, err := connect(t, dsn)
	if err != nil {
		t.Fatal(err)
	}
	var fsync string
	if err := c.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil || fsync != "on" {
		t.Errorf("fsync is %q, %v; want on", fsync, err)
	}
	if _, err := c.Exec(t.Context(), "CREATE TABLE stays ()"); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if err := c.Ping(t.Context()); err == nil {
		t.Error("a connection outlived the server")
	}
	if _, err := connect(t, dsn); err == nil {
		t.Error("a stopped server took a connection")
	}
	s.Start(t)
	if c, err = connect(t, dsn); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "TABLE stays"); err != nil {
		t.Errorf("what was committed: %v", err)
	}
}

func TestAServerEndsWithAKilledProcess(t *testing.T) {
	const child = "PGTEST_CHILD"
	if os.Getenv(child) != "" {
		os.Stdout.WriteString(pgtest.New(t) + "\n")
		io.Copy(io.Discard, os.Stdin) // until this process is killed, or its parent ends
	}
	if _, err := connect(t, pgtest.New(t)); err != nil { // or skip
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), child+"=1")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.StdinPipe(); err != nil { // stays open while this process runs
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dsn = strings.TrimSpace(dsn)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(config.Host) }) // its directory
	if _, err := connect(t, dsn); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	await.State(t, "the server ends with the process that started it", func() bool {
		_, err := connect(t, dsn)
		return err != nil
	})
}
