package command

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is that of the public listener. It is read again when one of its files has changed, so that it can be renewed while
// the server runs.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    [2]version // of the files that were read last
}

// version is what tells one version of a file from another.
type version struct {
	modified time.Time
	size     int64
}

func versionOf(info fs.FileInfo) version { return version{info.ModTime(), info.Size()} }

// newCertificate reads a certificate and its key, in PEM.
func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// reload reads the files if they have changed. If they cannot be used, the certificate stays as it is.
func (c *certificate) reload() error {
	var found [2]version
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		found[i] = versionOf(info)
	}
	if found == c.read {
		return nil
	}
	c.read = found
	read, err := tls.LoadX509KeyPair(c.certFile, c.keyFile) // whose error holds nothing of the key
	if err != nil {
		return fmt.Errorf("read %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &read
	return nil
}

// get is the GetCertificate of a tls.Config. Looking at two files costs little next to a handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, read := c.current, c.read
	switch err := c.reload(); {
	case err != nil && c.read != read:
		c.log.Error("the new certificate cannot be used; the one before is served", "error", err)
	case err == nil && c.current != before:
		c.log.Info("the certificate was renewed", "expires", c.current.Leaf.NotAfter.UTC())
	}
	return c.current, nil
}

// config returns the settings of a server with the certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
}
