package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/tracing"
)

type serveCommand struct {
	Addr           address       `default:"127.0.0.1:8080" placeholder:"HOST:PORT|unix:PATH|systemd" help:"Where to serve the API; systemd for the socket that it passes. Default: 127.0.0.1:8080."`
	AdminAddr      adminAddress  `default:"127.0.0.1:9090" placeholder:"HOST:PORT|off" help:"Where to serve /metrics and /log-level; keep it private. Default: 127.0.0.1:9090."`
	Dashboard      string        `default:"admin" enum:"admin,public,off" placeholder:"WHERE" help:"Where to serve the dashboard: at the admin address, at the public one, or off. Default: admin."`
	OIDCIssuer     string        `name:"oidc-issuer" placeholder:"URL" help:"An OpenID Connect issuer with which users of the dashboard can sign in, such as https://login.example.com."`
	OIDCClientID   string        `name:"oidc-client-id" placeholder:"ID" help:"What the issuer calls this server."`
	OIDCSecretFile string        `name:"oidc-client-secret-file" type:"path" placeholder:"FILE" help:"A file that holds the secret that the issuer gave to this server."`
	Pprof          bool          `help:"Serve profiles at /debug/pprof/ of the admin address, to callers on this machine."`
	PprofRemote    bool          `help:"Serve profiles to callers on other machines, too."`
	TrustedProxies []network     `placeholder:"CIDR" help:"The networks of the proxies in front of the server, whose X-Forwarded-For names the caller. Default: none."`
	PathPrefix     pathPrefix    `placeholder:"PATH" help:"What is before the path of everything but the probes, such as /api behind a proxy that passes paths on as they are. Default: none."`
	Docs           string        `enum:"on,off" default:"on" placeholder:"on|off" help:"Serve a page at /docs to read the contract and to send requests: on or off. Default: on."`
	TLSCert        string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Serve the API by TLS with this certificate, in PEM, its chain included. It is read again when it changes."`
	TLSKey         string        `name:"tls-key" type:"path" placeholder:"FILE" help:"The certificate's private key, in PEM."`
	AuditFailure   string        `default:"refuse" enum:"refuse,continue" placeholder:"refuse|continue" help:"While the audit trail cannot be written: refuse requests, or serve them and count what is missing in it. Default: refuse."`
	ShutdownDelay  time.Duration `type:"days" default:"0s" placeholder:"DURATION" help:"How long to go on serving after SIGTERM, while /readyz fails so that proxies send no more requests; up to 20s."`
	LogLevel       string        `default:"info" enum:"${levels}" placeholder:"LEVEL" help:"The least level of the lines in the log: ${levels}. It can be changed at /log-level of the admin address. Default: info."`
	AccessLog      accessLog     `default:"all" placeholder:"all|errors|1/N" help:"Which successful requests are logged: all, none (errors), or one of N. Failed ones always are. Default: all."`
	Demo           bool          `help:"Serve example data from a file of its own, and print a command that updates a provider. On loopback only."`
}

// Help implements [kong.HelpProvider].
func (serveCommand) Help() string {
	return exampleHelp("serve --addr 0.0.0.0:8080")
}

// Validate checks what the flags mean together.
func (s serveCommand) Validate() error {
	if s.Demo && !s.Addr.onLoopback() {
		return fmt.Errorf("--demo serves on loopback only, such as 127.0.0.1:8080, not on %s", s.Addr)
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together; give both, or none")
	}
	if (s.OIDCIssuer == "") != (s.OIDCClientID == "") || (s.OIDCIssuer == "") != (s.OIDCSecretFile == "") {
		return errors.New("--oidc-issuer, --oidc-client-id and --oidc-client-secret-file belong together; give all, or none")
	}
	if u, err := url.Parse(s.OIDCIssuer); s.OIDCIssuer != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"))) {
		return errors.New("--oidc-issuer must be a URL that begins with https://")
	}
	if s.OIDCIssuer != "" && s.Dashboard == "off" {
		return errors.New("--oidc-issuer is for the dashboard, which --dashboard off switches off; give only one of them")
	}
	if s.ShutdownDelay > maxShutdownDelay {
		return fmt.Errorf("--shutdown-delay must be at most %v, so that a stop takes less than 30 seconds", maxShutdownDelay)
	}
	return nil
}

// Run serves until ctx is done. Then it takes no more connections, finishes the requests in flight, and returns.
func (s serveCommand) Run(ctx context.Context, c *commands, io streams) (err error) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // a reader of the log, or the terminal, that leaves
	defer signal.Reset(syscall.SIGPIPE, syscall.SIGHUP)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a tenth less of the processor for a request, for some tens of MiB
	}
	if s.Demo {
		if c.Database != defaultDatabase {
			fmt.Fprintf(io.err, program+": the demo uses its own file, %s, whatever --database names\n", demoDatabase)
		}
		c.Database = demoDatabase
		s.Dashboard = "public"
	}
	v := &service{serveCommand: s, commands: c, out: io.out, recorder: metrics.New(), level: new(slog.LevelVar)}
	if err := v.level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log, closeLog := newLog(io.err, v.level, v.recorder.LogDropped)
	defer closeLog()
	v.log = log

	if v.traces, err = tracing.FromEnvironment(ctx, program, moduleVersion(), log); err != nil {
		return wrongUsage(err)
	}
	defer v.traces.Close()
	if err := v.openTrail(io); err != nil {
		return err
	}
	if v.trail != nil {
		defer func() { err = errors.Join(err, v.trail.Close()) }()
	}
	defer v.closeListeners()
	if err := v.listen(); err != nil {
		return err
	}
	if err := v.start(); err != nil {
		return err
	}
	defer v.servers.close()
	err = endWithin(ctx, stopTimeout, func() error {
		return c.withNewStore(ctx, v.storeOptions(), func(st store) error { return v.serve(ctx, st) })
	})
	select {
	case <-v.opened:
	default:
		if ctx.Err() != nil { // stopped while it was starting
			return nil
		}
	}
	return err
}

func (s serveCommand) profiles() profiles {
	switch {
	case s.PprofRemote:
		return remoteProfiles
	case s.Pprof:
		return localProfiles
	}
	return noProfiles
}

func (s serveCommand) proxies() (networks []*net.IPNet) {
	for _, proxy := range s.TrustedProxies {
		networks = append(networks, proxy.IPNet)
	}
	return networks
}
