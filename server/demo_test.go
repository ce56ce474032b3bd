package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asProgram is set in the environment of a test binary that is to be the program: TestMain then calls main.
const asProgram = "SERVER_TEST_AS_PROGRAM"

// process is the program as a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr *buffer
}

// program returns the program, to be started in a directory.
func program(directory string, args ...string) process {
	p := process{exec.Command(os.Args[0], args...), newBuffer(), newBuffer()}
	p.Dir, p.Env, p.Stdout, p.Stderr = directory, append(os.Environ(), asProgram+"=1"), p.stdout, p.stderr
	return p
}

// start starts the program in a directory. It is killed when the test ends, should it still run.
func start(t *testing.T, directory string, args ...string) process {
	t.Helper()
	p := program(directory, args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() }) // fail if it has ended already
	return p
}

// end sends a signal, and expects the program to end well.
func (p process) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after %v: %v\n%s", signal, err, p.stderr)
	}
}

// TestDemo pastes what the demo prints into a shell, before and after a restart.
func TestDemo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have curl: the demo prints a command that uses it")
		}
		t.Skip("curl is not installed; the command that the demo prints is not tried")
	}
	directory := t.TempDir()
	serve := func() (demo process, address, command string) {
		demo = start(t, directory, "serve", "--demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		demo.stdout.waitFor(t, "Ctrl-C stops the demo.")
		demo.stderr.waitFor(t, `"listening"`)
		text := demo.stdout.String()
		_, address, _ = strings.Cut(text, "http://")
		address, _, _ = strings.Cut(address, "/")
		_, command, _ = strings.Cut(text, "\n\ncurl ")
		command, _, _ = strings.Cut(command, "\nThe change")
		link := regexp.MustCompile(`http://\S+/dashboard/links/\w+`).FindString(text)
		if got := get(t, link); !strings.Contains(got, "Open the dashboard") {
			t.Errorf("the page of the link %s:\n%s", link, got)
		}
		page := regexp.MustCompile(`The change is then at (http://\S+)`).FindStringSubmatch(text)
		if page == nil || !strings.HasSuffix(page[1], "/customers/"+exampleID+"/providers/"+exampleID) {
			t.Errorf("the page of the change is missing:\n%s", text)
		}
		return demo, address, "curl " + command
	}
	paste := func(command string) {
		t.Helper()
		text, err := exec.Command("sh", "-c", command).Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, command)
		}
		_, body, _ := strings.Cut(command, "--data '")
		var want, got map[string]any
		if err := errors.Join(json.Unmarshal([]byte(strings.TrimRight(body, "'\n")), &want), json.Unmarshal(text, &got)); err != nil {
			t.Fatalf("%v\n%s\n%s", err, command, text)
		}
		if len(want) != len(fields) || len(got) != len(fields)+3 {
			t.Errorf("%d properties sent and %d received, want %d and %d", len(want), len(got), len(fields), len(fields)+3)
		}
		want["id"], want["createdAt"], want["updatedAt"] = exampleID, got["createdAt"], got["updatedAt"]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the response (-want +got):\n%s", diff)
		}
	}

	first, firstAddress, firstCommand := serve()
	paste(firstCommand)
	paste(firstCommand)
	paste(strings.Replace(firstCommand, `"customerId": "`+exampleID, `"customerId": "00000000-0000-4000-8000-000000000001`, 1)) // and away it is
	first.end(t, syscall.SIGTERM)

	second, secondAddress, secondCommand := serve()
	paste(secondCommand)
	paste(strings.ReplaceAll(firstCommand, firstAddress, secondAddress)) // with the first key
	second.end(t, os.Interrupt)
}

// get returns the text of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
