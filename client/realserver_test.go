package client_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "client-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		return m.Run()
	}())
}

// realServer is the server of this repository as its operator runs it, on an empty SQLite database.
type realServer struct {
	t       *testing.T
	path    string // of the program
	dir     string
	url     string
	process *os.Process
	exited  chan struct{}
}

func startServer(t *testing.T) *realServer {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &realServer{t: t, path: path, dir: t.TempDir()}
	s.start()
	return s
}

// start serves until the test ends or stop is called.
func (s *realServer) start() {
	s.t.Helper()
	cmd := s.command("serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	listening, exited := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(exited)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.Address
			}
		}
		cmd.Wait()
	}()
	s.process, s.exited = cmd.Process, exited
	s.t.Cleanup(s.stop)
	select {
	case address := <-listening:
		s.url = "http://" + address
	case <-exited:
		s.t.Fatal("the server ended before it listened")
	case <-time.After(time.Minute):
		s.t.Fatal("the server does not listen")
	}
}

// stop kills the server.
func (s *realServer) stop() {
	s.process.Signal(syscall.SIGKILL)
	<-s.exited
}

func (s *realServer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.path, append(args, "--database", filepath.Join(s.dir, "test.db"))...)
	cmd.Dir = s.dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CARECYCLE_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// run runs another command of the server's.
func (s *realServer) run(stdin string, args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			s.t.Fatalf("server %s: %v: %s", strings.Join(args, " "), err, exit.Stderr)
		}
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// newKey makes a key, without a rate limit unless a flag sets one.
func (s *realServer) newKey(flags ...string) string {
	s.t.Helper()
	return s.run("", append([]string{"keys", "create", "--organization", "acme", "--name", "test", "--rate-limit", "0"}, flags...)...)
}

// client returns a client with that key. No attempt of it fails because the machine is slow.
func (s *realServer) client(key string, options ...client.Option) *client.Client {
	s.t.Helper()
	c, err := client.New(key, append([]client.Option{client.WithBaseURL(s.url), client.WithTimeout(time.Hour)}, options...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// importRecord makes a record with a city and returns its customer and its ID.
func (s *realServer) importRecord() (customer client.CustomerID, id client.ProviderID) {
	s.t.Helper()
	customer, id = client.CustomerID(uuid.New()), client.ProviderID(uuid.New())
	s.run(fmt.Sprintf(`{"customerId":%q,"id":%q,"providerType":"Hospital","city":"Old Town"}`, customer, id), "import", "-", "--organization", "acme")
	return customer, id
}
