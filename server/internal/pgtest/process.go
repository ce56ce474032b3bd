package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
)

var errNotInstalled = errors.New("PostgreSQL is not installed; apt-get install postgresql")

// launch makes a server and starts it.
func launch(o Options) (_ *Server, err error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	owner, err := newOwner()
	if err != nil {
		return nil, err
	}
	// Not in TMPDIR: that can be long, and a socket's path cannot; or out of the owner's reach.
	folder, err := os.MkdirTemp("/tmp", "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, folder: folder, owner: owner}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := owner.give(folder); err != nil {
		return nil, err
	}
	s.settings = []string{"listen_addresses=", "unix_socket_directories=" + folder, "max_connections=200"}
	if !o.Durable {
		s.settings = append(s.settings, "fsync=off", "full_page_writes=off")
	}
	s.settings = append(s.settings, o.Settings...)
	if err := s.initialize(); err != nil {
		return nil, err
	}
	return s, s.start()
}

// find returns the folder of the newest PostgreSQL's programs. Debian keeps them out of PATH.
func find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(program string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program))))
		return n
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	program, err := exec.LookPath("initdb")
	if err != nil {
		return "", errNotInstalled
	}
	if program, err = filepath.EvalSymlinks(program); err != nil { // initdb looks for postgres beside itself
		return "", err
	}
	return filepath.Dir(program), nil
}

func (s *Server) command(program string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, program), arguments...)
	c.Dir = s.folder
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")} // and none of PGHOST and its like
	c.SysProcAttr = s.owner.attributes()
	return c
}

func (s *Server) initialize() error {
	output, err := s.command("initdb", "--pgdata=data", "--username="+superuser, "--auth=trust", "--encoding=UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// process is a server's main process.
type process struct {
	*os.Process
	exited chan struct{}
}

func (s *Server) start() error {
	arguments := []string{"-D", "data"}
	for _, setting := range s.settings {
		arguments = append(arguments, "-c", setting)
	}
	c := s.command("postgres", arguments...)
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log // a file: whoever waits for this process's own output does not wait for the server
	started := make(chan error)
	p := &process{exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		runtime.LockOSThread() // the server is told to end when the thread that started it does: keep that
		err := c.Start()
		started <- err
		if err == nil {
			c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.Process, s.process = c.Process, p
	return s.waitUntilReady()
}

func (s *Server) waitUntilReady() error {
	for deadline := time.Now().Add(await.Patience); ; {
		err := s.administer("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.process.exited:
			s.process = nil
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		log, _ := os.ReadFile(s.logPath())
		return fmt.Errorf("the server does not start: %w\n%s", err, bytes.TrimSpace(log))
	}
}

func (s *Server) logPath() string { return filepath.Join(s.folder, "log") }

func (s *Server) stop() error {
	p := s.process
	if p == nil {
		return nil
	}
	if err := p.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		s.process = nil
		return nil
	case <-time.After(await.Patience):
		return errors.New("the server does not stop")
	}
}

// remove stops the server and removes its folder. It is the end of a test, with nobody left to tell of an error.
func (s *Server) remove() {
	s.stop()
	os.RemoveAll(s.folder)
}
