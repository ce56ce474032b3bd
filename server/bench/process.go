//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds how long a server may take until it listens.
const startTimeout = 30 * time.Second

// command returns a child that is killed when ctx is done and when this process ends, however that happens.
func command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, arguments...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "CARECYCLE_") })
	return c
}

// output runs a command to its end and returns what it printed. The error has its standard error.
func output(c *exec.Cmd) ([]byte, error) {
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out, nil
}

// server is a process that serves requests.
type server struct {
	process *os.Process
	url     string
	exited  chan struct{}
	outcome error // once exited is closed
}

// withServer starts a server, has f use it, and stops it. The server logs to a file, as one in production does.
func withServer(c *exec.Cmd, log *os.File, f func(*server) error) error {
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return err
	}
	s := &server{process: c.Process, exited: make(chan struct{})}
	go func() {
		defer close(s.exited)
		s.outcome = c.Wait()
	}()
	err := s.listens(log.Name())
	if err == nil {
		err = f(s)
	}
	if err != nil {
		c.Process.Kill()
		<-s.exited
		return err
	}
	return s.stop()
}

// listens waits until the server does.
func (s *server) listens(logPath string) error {
	timeout := time.After(startTimeout)
	for {
		log, err := os.ReadFile(logPath)
		if err != nil {
			return err
		}
		if s.url = listening(log); s.url != "" {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended: %s", bytes.TrimSpace(log))
		case <-timeout:
			return fmt.Errorf("the server does not listen after %v", startTimeout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// listening returns the URL that a server's log says it listens at, empty if it does not say so yet.
func listening(log []byte) string {
	for line := range bytes.Lines(log) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			return "http://" + entry.Address
		}
	}
	return ""
}

// stop has the server end in its own good time, and reports how it ended.
func (s *server) stop() error {
	s.process.Signal(syscall.SIGTERM) // fails if it has ended
	<-s.exited
	if s.outcome != nil {
		return fmt.Errorf("stop the server: %w", s.outcome)
	}
	return nil
}

// cpu is how long the processors have worked for the server, in the kernel and outside it.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name, in parentheses; the 14th and the 15th are the times.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const tick = time.Second / 100 // of every Linux that Go runs on
	var total time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * tick
	}
	return total, nil
}

// peak is the most memory that the server has had, in bytes.
func (s *server) peak() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	_, err = fmt.Sscan(rest, &kib)
	return kib << 10, err
}

// loadAverage is how many processes wanted a processor in the last minute.
func loadAverage() (average float64) {
	text, _ := os.ReadFile("/proc/loadavg") // without it, nothing is said
	fmt.Sscan(string(text), &average)
	return average
}
