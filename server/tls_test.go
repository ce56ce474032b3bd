package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/await"
)

// writeCertificate writes a certificate for 127.0.0.1 with that serial number, and its key, and returns it.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	replaceFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// replaceFile replaces a file at once, as those who renew certificates do.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestTLS serves by TLS, and renews the certificate while the server runs.
func TestTLS(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	certFile, keyFile := filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")
	trusted := x509.NewCertPool()
	trusted.AddCert(writeCertificate(t, certFile, keyFile, 1))
	p := start(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile)
	url, _ := p.stderr.addresses(t, `"listening"`)
	url = strings.Replace(url, "http:", "https:", 1)
	// get asks by a new connection, and returns the serial number of the certificate.
	get := func() int64 {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Errorf("%d by %s", response.StatusCode, response.Proto)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if serial := get(); serial != 1 {
		t.Errorf("certificate %d, want 1", serial)
	}
	trusted.AddCert(writeCertificate(t, certFile, keyFile, 22222))
	if serial := get(); serial != 22222 {
		t.Errorf("certificate %d, want the renewed one", serial)
	}
	p.stderr.waitFor(t, "the certificate was renewed")
	replaceFile(t, certFile, "half a certificate")
	if serial := get(); serial != 22222 {
		t.Errorf("certificate %d, want the last good one", serial)
	}
	get()
	const unusable = "the new certificate cannot be used"
	p.stderr.waitFor(t, unusable)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	get()
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS11}}
	if _, err := (&http.Client{Transport: old}).Get(url + "/livez"); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	p.end(t, syscall.SIGTERM)
	if n := strings.Count(p.stderr.String(), unusable); n != 1 {
		t.Errorf("the log reports %d times a certificate that cannot be used:\n%s", n, p.stderr)
	}
}

func TestTLSMisuse(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	certFile, keyFile := filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	other := filepath.Join(directory, "other.pem")
	writeCertificate(t, filepath.Join(directory, "unused.pem"), other, 2)
	for name, test := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no key":                     {[]string{"--tls-cert", certFile}, "--tls-cert and --tls-key belong together", 2},
		"no file":                    {[]string{"--tls-cert", certFile + "x", "--tls-key", keyFile}, "no such file", 1},
		"another key":                {[]string{"--tls-cert", certFile, "--tls-key", other}, "private key does not match", 1},
		"swapped":                    {[]string{"--tls-cert", keyFile, "--tls-key", certFile}, "--tls-cert, --tls-key: read ", 1},
		"half of an issuer":          {[]string{"--oidc-issuer", "https://login.example.com"}, "belong together", 2},
		"an issuer in clear":         {[]string{"--oidc-issuer", "http://login.example.com", "--oidc-client-id", "x", "--oidc-client-secret-file", "x"}, "begins with https://", 2},
		"an issuer without a host":   {[]string{"--oidc-issuer", "https:", "--oidc-client-id", "x", "--oidc-client-secret-file", "x"}, "begins with https://", 2},
		"an issuer for no dashboard": {[]string{"--dashboard", "off", "--oidc-issuer", "https://login.example.com", "--oidc-client-id", "x", "--oidc-client-secret-file", "x"}, "give only one", 2},
		"an empty client secret":     {[]string{"--oidc-issuer", "https://login.example.com", "--oidc-client-id", "x", "--oidc-client-secret-file", os.DevNull}, "is empty", 1},
		"no client secret":           {[]string{"--oidc-issuer", "https://login.example.com", "--oidc-client-id", "x", "--oidc-client-secret-file", "missing"}, "--oidc-client-secret-file: open", 1},
		"a long stop":                {[]string{"--shutdown-delay", "21s"}, "--shutdown-delay must be at most 20s", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, code := run("", append([]string{"serve", "--database", filepath.Join(t.TempDir(), "test.db"), "--addr", "127.0.0.1:0", "--admin-addr", "off"}, test.args...)...)
			if code != test.code || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "PRIVATE") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

// TestShutdownDelay serves on after SIGTERM, while /readyz already fails.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second
	p := start(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--admin-addr", "off", "--shutdown-delay", delay.String())
	url, _ := p.stderr.addresses(t, `"listening"`)
	transport := newTransport(t)
	status := func(path string) (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Close = true // a new connection for each
		response, err := transport.RoundTrip(request)
		if err != nil {
			return 0, err
		}
		response.Body.Close()
		return response.StatusCode, nil
	}
	signalled := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await.State(t, "the server is not ready", func() bool { got, err := status("/readyz"); return err != nil || got == http.StatusServiceUnavailable })
	served, refused, began := false, time.Duration(0), time.Since(signalled)
	await.State(t, "no more connections are accepted", func() bool {
		got, err := status("/livez")
		refused, served = time.Since(signalled), served || got == http.StatusOK
		return err != nil
	})
	if refused < delay {
		t.Errorf("a connection was refused %v after the signal, want %v at least", refused, delay)
	}
	if !served && began < delay/2 { // a busy machine may send the first request late
		t.Error("nothing was served after the signal")
	}
	if err := p.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
}
