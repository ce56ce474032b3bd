package pgserver

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

	"github.com/carecycle/provider-api/server/internal/child"
)

// Start creates a server and starts it. Remove it in the end.
//
// Errors: ErrNotInstalled.
func Start(o Options) (_ *Server, err error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	owner, err := child.Unprivileged()
	if err != nil {
		return nil, err
	}
	// Not in TMPDIR: it can be too long for a socket's path, or not accessible to the owner.
	directory, err := os.MkdirTemp("/tmp", "pgserver-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, directory: directory, owner: owner}
	defer func() {
		if err != nil {
			s.Remove()
		}
	}()
	if err := owner.Own(directory); err != nil {
		return nil, err
	}
	s.settings = []string{"listen_addresses=", "unix_socket_directories=" + directory, "max_connections=200"}
	if !o.Durable {
		s.settings = append(s.settings, "fsync=off", "full_page_writes=off")
	}
	s.settings = append(s.settings, o.Settings...)
	if err := s.initialize(); err != nil {
		return nil, err
	}
	return s, s.Restart()
}

// find returns the directory of the newest PostgreSQL's programs. Debian keeps them out of PATH.
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
		return "", ErrNotInstalled
	}
	if program, err = filepath.EvalSymlinks(program); err != nil { // initdb looks for postgres next to itself
		return "", err
	}
	return filepath.Dir(program), nil
}

func (s *Server) command(program string, arguments ...string) *exec.Cmd {
	c := s.owner.Command(filepath.Join(s.programs, program), arguments...)
	c.Dir = s.directory
	c.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")} // without PGHOST and the like
	return c
}

func (s *Server) initialize() error {
	runtime.LockOSThread() // see child.Start
	defer runtime.UnlockOSThread()
	output, err := s.command("initdb", "--pgdata=data", "--username="+superuser, "--auth=trust", "--encoding=UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// process is a server's main process.
type process struct {
	*os.Process
	exited <-chan struct{}
}

// Restart starts the server after Stop, and returns when it can be used.
func (s *Server) Restart() error {
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
	c.Stdout, c.Stderr = log, log // a file: who waits for the end of this process's output does not wait for the server
	exited, err := child.Start(c)
	if err != nil {
		return err
	}
	s.process = &process{c.Process, exited}
	return s.waitUntilReady()
}

func (s *Server) waitUntilReady() error {
	for deadline := time.Now().Add(patience); ; {
		err := s.Execute("SELECT 1")
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

// Log returns what the server has logged.
func (s *Server) Log() (string, error) {
	text, err := os.ReadFile(s.logPath())
	return string(text), err
}

func (s *Server) logPath() string { return filepath.Join(s.directory, "log") }

// Stop ends the server as a crash does: its clients lose their connections, and committed changes stay.
func (s *Server) Stop() error {
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
	case <-time.After(patience):
		return errors.New("the server does not stop")
	}
}

// Demote makes the server a standby, which can be read and not written to. It is started again.
func (s *Server) Demote() error {
	if err := s.Stop(); err != nil {
		return err
	}
	signal := filepath.Join(s.directory, "data", "standby.signal")
	if err := os.WriteFile(signal, nil, 0o644); err != nil {
		return err
	}
	return s.Restart()
}

// Remove stops the server and removes its directory.
func (s *Server) Remove() {
	s.Stop()
	os.RemoveAll(s.directory)
}
