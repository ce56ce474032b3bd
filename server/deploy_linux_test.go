package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
	"go.yaml.in/yaml/v4"
)

// needs skips a test without a program, and fails it in CI.
func needs(t *testing.T, name, install string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must have %s: apt-get install %s", name, install)
	}
	t.Skipf("%s is not installed: apt-get install %s", name, install)
}

// TestUnitSecurity has systemd rate what the unit leaves open, from 0 to 10.
func TestUnitSecurity(t *testing.T) {
	t.Parallel()
	needs(t, "systemd-analyze", "systemd")
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", "deploy/carecycle-server.service").CombinedOutput()
	if err != nil {
		t.Errorf("more than 2.0: %v\n%s", err, out)
	}
}

// TestUnits has systemd read the units, which must not name a directive that it does not know.
func TestUnits(t *testing.T) {
	t.Parallel()
	needs(t, "systemd-analyze", "systemd")
	directory := t.TempDir()
	verify := exec.Command("systemd-analyze", "verify", "--man=no")
	install := func(name, text string) (path string) {
		t.Helper()
		path = filepath.Join(directory, name)
		text = strings.ReplaceAll(text, "/usr/local/bin/carecycle-server", os.Args[0])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"carecycle-server.service", "carecycle-server.socket"} {
		text, err := os.ReadFile(filepath.Join("deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		verify.Args = append(verify.Args, install(name, string(text)))
	}
	const documented = "carecycle-server.service.d/move.conf" // for a move to PostgreSQL
	_, added, _ := strings.Cut(documentation(t), "# /etc/systemd/system/"+documented+"\n")
	added, _, _ = strings.Cut(added, "```")
	install(documented, added)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestServiceManager starts the server as systemd does: it reports when it is ready and when it stops, and its log has priorities.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(directory, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	socket.SetReadDeadline(time.Now().Add(await.Patience))
	notified := func(want string) {
		t.Helper()
		message := make([]byte, 100)
		if n, err := socket.Read(message); err != nil || string(message[:n]) != want {
			t.Fatalf("notified %q, %v; want %q", message[:n], err, want)
		}
	}
	journal, err := os.Create(filepath.Join(directory, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(journal.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	p := program(directory, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "0.0.0.0:0")
	p.Cmd.Stderr = journal
	p.Env = append(p.Env, "NOTIFY_SOCKET="+socket.LocalAddr().String(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() }) // fail if it has ended already
	notified("READY=1")
	p.end(t, syscall.SIGTERM)
	notified("STOPPING=1")
	log, err := os.ReadFile(journal.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<4>{"time":`, `<6>{"time":`} { // the admin address is public; listening
		if !strings.Contains(string(log), "\n"+want) && !strings.HasPrefix(string(log), want) {
			t.Errorf("no line begins with %s in\n%s", want, log)
		}
	}
}

// TestImage checks that the program needs nothing of the image: it runs in a directory that is empty but for it, where the file
// says it is.
func TestImage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nFROM scratch\n", "\nCOPY carecycle-server /carecycle-server\n", "\nENTRYPOINT [\"/carecycle-server\"]\n"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no line %q", strings.TrimSpace(want))
		}
	}
	if os.Getuid() != 0 {
		t.Skip("only root can change the root directory")
	}
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "carecycle-server"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	inside := exec.Command("/carecycle-server", "--version")
	inside.Dir, inside.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	if out, err := inside.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("carecycle-server ")) {
		t.Errorf("%v: %s", err, out)
	}
}

// manifest is what the test reads of a Kubernetes object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Selector any
		Ports    []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct {
					Env   []struct{ Name, Value string }
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					Liveness  probe `yaml:"livenessProbe"`
					Readiness probe `yaml:"readinessProbe"`
				}
			}
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// TestKubernetes parses the manifest, and requests what it probes from a server.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	file, err := os.Open("deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	objects := map[string]manifest{}
	for decoder := yaml.NewDecoder(file); ; {
		var object manifest
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[object.Kind] = object
	}
	deployment, service := objects["Deployment"], objects["Service"]
	if len(objects) != 2 || len(deployment.Spec.Template.Spec.Containers) != 1 || len(service.Spec.Ports) != 1 {
		t.Fatalf("got %+v, want a Deployment of one container and a Service of one port", objects)
	}
	container, labels := deployment.Spec.Template.Spec.Containers[0], deployment.Spec.Template.Metadata.Labels
	if port := container.Ports[0]; port.ContainerPort != 8080 || service.Spec.Ports[0].TargetPort != port.Name || fmt.Sprint(service.Spec.Selector) != fmt.Sprint(labels) {
		t.Errorf("the service sends to port %s of %v, and the container has %v, of %v", service.Spec.Ports[0].TargetPort, service.Spec.Selector, port, labels)
	}
	s := newServer(t)
	for probe, want := range map[probe]string{container.Liveness: "/livez", container.Readiness: "/readyz"} {
		if probe.HTTPGet.Path != want || probe.HTTPGet.Port != container.Ports[0].Name {
			t.Errorf("got the probe %+v, want %s", probe, want)
		}
		if got, err := http.Get(s.url + probe.HTTPGet.Path); err != nil || got.Body.Close() != nil || got.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", probe.HTTPGet.Path, got, err)
		}
	}
}
