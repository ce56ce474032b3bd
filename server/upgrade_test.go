package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/carecycle/provider-api/server/internal/await"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// TestRollingUpgrade replaces the program before the newest migration by this one, on one database, while requests go through whatever
// serves: none fails. Then the older program does not start any more, and events take the form of this one.
//
// It builds the older program, so it runs only if the environment variable UPGRADE is set. See make upgrade.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	if os.Getenv("UPGRADE") == "" {
		t.Skip("it builds an older version: make upgrade runs it")
	}
	older, database := buildOlder(t), pgtest.New(t)
	serve := func(path string) (*server, process) {
		p := program(t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		p.Path = path
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Process.Kill(); p.Wait() })
		s := &server{t: t, database: database, log: p.stderr, transport: newTransport(t), asked: &sync.Map{}}
		s.url, _ = p.stderr.addresses(t, `"listening"`)
		return s, p
	}
	first, firstProcess := serve(older)
	second, secondProcess := serve(older)
	migrate := func(arguments ...string) (code int) {
		p := program(t.TempDir(), append([]string{"migrate", "--database", database}, arguments...)...)
		p.Run() // an exit code is an error
		t.Logf("migrate %v: %s%s", arguments, p.stdout, p.stderr)
		return p.ProcessState.ExitCode()
	}
	key := runOlder(t, older, "", "keys", "create", "--organization", "acme", "--name", "test", "--rate-limit", "0", "--database", database)
	runOlder(t, older, `{"id":"`+exampleID+`","customerId":"`+exampleID+`","providerType":"Hospital"}`, "import", "-", "--organization", "acme", "--database", database)
	load := startLoad(t, key, pathOf(exampleID, exampleID), 4)

	load.through(first, second)
	known := newForm(t, database) > 0 // to the older program, too
	for _, step := range []struct {
		arguments []string
		code      int
	}{{[]string{"--dry-run"}, 0}, {[]string{"--status"}, 4}, {nil, 0}, {[]string{"--status"}, 0}} {
		if code := migrate(step.arguments...); code != step.code {
			t.Errorf("exit code %d of migrate %v, want %d", code, step.arguments, step.code)
		}
	}
	load.through(first, second)
	third, _ := serve(os.Args[0])
	load.through(first, third)
	secondProcess.end(t, syscall.SIGTERM)
	load.through(third)
	firstProcess.end(t, syscall.SIGTERM)
	if written := newForm(t, database); written != 0 && !known {
		t.Errorf("%d events were written that the older program cannot read", written)
	}
	if stdout, _, _ := run("", "status", "--database", database); strings.Contains(stdout, "run migrate --finish") == known {
		t.Errorf("what is due:\n%s", stdout)
	}
	if code := migrate("--finish"); code != 0 {
		t.Errorf("exit code %d of migrate --finish", code)
	}
	if stdout, _, _ := run("", "status", "--database", database); strings.Contains(stdout, "migrate --finish") {
		t.Errorf("what is due afterwards:\n%s", stdout)
	}
	await.State(t, "events are written in the new form", func() bool { return t.Failed() || newForm(t, database) > 100 })
	load.stop()

	again := program(t.TempDir(), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	again.Path = older
	again.Run()
	if code := again.ProcessState.ExitCode(); code != 1 || !strings.Contains(again.stderr.String(), "was made by a newer version of this program") {
		t.Errorf("the older program after the migration: exit code %d, %s", code, again.stderr)
	}
	expectNoProblem(t, database)
}

// newForm counts the events of the form that needs numbers of properties.
func newForm(t *testing.T, database string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), "SELECT count(*) FROM provider_events WHERE changes NOT LIKE '{%'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// buildOlder builds the program of the commit before the newest migration.
func buildOlder(t *testing.T) (path string) {
	t.Helper()
	git := func(arguments ...string) string {
		t.Helper()
		out, err := exec.Command("git", arguments...).Output()
		if err != nil {
			t.Skipf("this is no complete clone of the repository: git %s: %v", arguments[0], err)
		}
		return strings.TrimSpace(string(out))
	}
	newest := git("log", "-1", "--format=%H", "--diff-filter=A", "--", "internal/postgres/migrations")
	commit := git("rev-parse", "--verify", "--quiet", newest+"^")
	source := filepath.Join(t.TempDir(), "source")
	git("worktree", "add", "--quiet", "--detach", source, commit)
	t.Cleanup(func() { exec.Command("git", "worktree", "remove", "--force", source).Run() })
	path = filepath.Join(t.TempDir(), "older")
	build := exec.Command("go", "build", "-o", path, "./server")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", commit, err, out)
	}
	t.Logf("the older program is that of commit %s", git("log", "-1", "--format=%h %s", commit))
	return path
}

// runOlder runs a command of the older program, as this one would migrate the database.
func runOlder(t *testing.T, path, stdin string, arguments ...string) (stdout string) {
	t.Helper()
	c := exec.Command(path, arguments...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%q: %v", arguments, err)
	}
	return strings.TrimSpace(string(out))
}

// load is a number of callers, who send one request after another.
type load struct {
	t       *testing.T
	servers atomic.Pointer[[]*server]
	sent    sync.Map // how many requests, as *atomic.Int64, by *server
	ended   atomic.Bool
	callers sync.WaitGroup
	idle    sync.RWMutex // read-locked during a request
}

// startLoad starts callers, who wait for servers.
func startLoad(t *testing.T, key, path string, callers int) *load {
	l := &load{t: t}
	l.servers.Store(new([]*server))
	t.Cleanup(l.stop)
	for range callers {
		l.callers.Go(func() {
			for n := 0; !l.ended.Load() && !t.Failed(); n++ {
				l.send(n, key, path)
			}
		})
	}
	return l
}

func (l *load) send(n int, key, path string) {
	l.idle.RLock()
	defer l.idle.RUnlock()
	servers := *l.servers.Load()
	if len(servers) == 0 {
		return
	}
	s := servers[n%len(servers)]
	r := request{Path: path, Key: key, Body: fmt.Sprintf(`{"notes":"%d"}`, n)}
	switch n % 4 {
	case 0:
		r = request{Method: http.MethodGet, Path: path, Key: key}
	case 1:
		r = request{Method: http.MethodGet, Path: path + "/history?limit=5", Key: key}
	}
	if got, err := s.try(r); err != nil || got.Status != http.StatusOK {
		l.t.Errorf("request %d: %d %s, %v", n, got.Status, got.Body, err)
	}
	l.count(s).Add(1)
}

// through sends all requests from now on to these servers, and returns when the others have none in flight and each of these has had some
// more.
func (l *load) through(servers ...*server) {
	l.t.Helper()
	l.idle.Lock()
	l.servers.Store(&servers)
	l.idle.Unlock()
	for _, s := range servers {
		before := l.count(s).Load()
		await.State(l.t, "the server has responded to requests", func() bool { return l.t.Failed() || l.count(s).Load() >= before+100 })
	}
}

func (l *load) count(s *server) *atomic.Int64 {
	count, _ := l.sent.LoadOrStore(s, new(atomic.Int64))
	return count.(*atomic.Int64)
}

// stop ends the callers.
func (l *load) stop() {
	l.ended.Store(true)
	l.callers.Wait()
}
