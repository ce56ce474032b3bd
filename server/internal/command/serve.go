package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/coreos/go-systemd/v22/daemon"
)

type serveCommand struct {
	Addr           address       `default:"127.0.0.1:8080" placeholder:"HOST:PORT|unix:PATH|systemd" help:"Where to serve the API; systemd for the socket that it passes. Default: 127.0.0.1:8080."`
	AdminAddr      adminAddress  `default:"127.0.0.1:9090" placeholder:"HOST:PORT|off" help:"Where to serve /metrics; keep it private. Default: 127.0.0.1:9090."`
	Dashboard      string        `default:"admin" enum:"admin,public,off" placeholder:"WHERE" help:"Where to serve the dashboard: at the admin address, at the public one, or off. Default: admin."`
	Pprof          bool          `help:"Serve profiles at /debug/pprof/ of the admin address."`
	TrustedProxies []network     `placeholder:"CIDR,…" help:"The networks of the proxies in front of the server, whose X-Forwarded-For names the caller. Default: none."`
	PathPrefix     pathPrefix    `placeholder:"PATH" help:"What is before the path of everything but the probes, such as /api behind a proxy that passes paths on as they are. Default: none."`
	Docs           string        `enum:"on,off" default:"on" help:"Serve a page at /docs to read the contract and to send requests: on or off. Default: on."`
	TLSCert        string        `name:"tls-cert" type:"path" placeholder:"FILE" help:"Serve the API by TLS with this certificate, in PEM, its chain included. It is read again when it changes."`
	TLSKey         string        `name:"tls-key" type:"path" placeholder:"FILE" help:"The certificate's private key, in PEM."`
	AuditFailure   string        `default:"refuse" enum:"refuse,continue" placeholder:"refuse|continue" help:"While the audit trail cannot be written: refuse requests, or serve them and count what is missing in it. Default: refuse."`
	ShutdownDelay  time.Duration `type:"days" default:"0s" placeholder:"DURATION" help:"How long to go on serving after SIGTERM, while /readyz fails so that proxies send no more requests; up to 20s."`
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
	if s.ShutdownDelay > maxShutdownDelay {
		return fmt.Errorf("--shutdown-delay must be at most %v, so that a stop takes less than 30 seconds", maxShutdownDelay)
	}
	return nil
}

// Run serves until ctx is done. Then it takes no more connections, finishes the requests in flight, and returns.
func (s serveCommand) Run(ctx context.Context, c *commands, io streams) (err error) {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // a reader of the log, or the terminal, that leaves
	defer signal.Reset(syscall.SIGPIPE, syscall.SIGHUP)
	if s.Demo {
		if c.Database != defaultDatabase {
			fmt.Fprintf(io.err, program+": the demo uses its own file, %s, whatever --database names\n", demoDatabase)
		}
		c.Database = demoDatabase
		s.Dashboard = "public"
	}
	recorder := metrics.New()
	log, closeLog := newLog(io.err, recorder.LogDropped)
	defer closeLog()

	trail, err := s.openTrail(c, io, recorder, log)
	if err != nil {
		return err
	}
	if trail != nil {
		defer func() { err = errors.Join(err, trail.Close()) }()
	}
	public, err := listen("--addr", s.Addr)
	if err != nil {
		return err
	}
	defer public.Close()
	var admin net.Listener
	if !s.AdminAddr.off {
		if admin, err = listen("--admin-addr", s.AdminAddr.address); err != nil {
			return err
		}
		defer admin.Close()
		if !s.AdminAddr.onLoopback() {
			log.Warn("the admin address can be reached from other machines; make sure that only the operator's can", "admin", admin.Addr().String())
		}
	}
	var leaving, stopping atomic.Bool
	handler := newSwitchable(api.Starting(api.Config{Log: log, Metrics: recorder, Proxies: s.proxies()}))
	servers := newServers(log, &stopping, endpoint{public, httpServer(closeWhen(&stopping, handler), log)})
	servers.leaving, servers.shutdownDelay = &leaving, s.ShutdownDelay
	if s.Addr == fromSystemd {
		servers.startPatience = startPatience
	}
	attributes := []any{"address", public.Addr().String(), "version", programVersion()}
	if s.TLSCert != "" {
		certificate, err := newCertificate(s.TLSCert, s.TLSKey, log)
		if err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		servers.public.server.TLSConfig = certificate.config()
		attributes = append(attributes, "tls", true)
	}
	adminDashboard := newSwitchable(http.NotFoundHandler())
	if admin != nil {
		servers.admin = &endpoint{admin, adminServer(s.AdminAddr.address, s.Pprof, recorder, adminDashboard, log)}
		attributes = append(attributes, "admin", admin.Addr().String())
	}
	servers.start()
	defer servers.close()
	o := storeOptions{
		writes: writes.Options{
			Transaction: recorder.Transaction,
			Panicked:    func(trace string) { log.Error("a transaction panicked", "trace", trace) },
		},
		waiting: func(reason string) {
			log.Warn("waiting for the database", "reason", reason, "address", public.Addr().String())
		},
	}
	var started atomic.Bool
	serve := func(st store) error {
		if s.Demo {
			if err := demo(ctx, st, public.Addr().String()+string(s.PathPrefix), io.out); err != nil {
				return fmt.Errorf("prepare the demo: %w", err)
			}
		}
		verifier := apikey.NewVerifier(st, time.Now, log)
		defer verifier.Close()
		limiter := newLimiter(st, log)
		defer limiter.Close()
		var counts *usage.Recorder
		if s.Dashboard != "off" {
			counts = usage.NewRecorder(st, time.Now, log)
			defer counts.Close()
		}
		ready, err := s.newAPI(st, verifier, limiter, recorder, counts, &leaving, log, trail)
		if err != nil {
			return err
		}
		defer ready.Close()
		pages, err := s.newDashboard(st, ready, public.Addr().String())
		if err != nil {
			return err
		}
		switch s.Dashboard {
		case "admin":
			adminDashboard.set(pages)
			handler.set(ready)
		case "public":
			handler.set(withDashboard(pages, ready))
		default:
			handler.set(ready)
		}
		close(servers.opened)
		started.Store(true)
		log.Info("listening", attributes...)
		notifySystemd(daemon.SdNotifyReady, log)
		return servers.serveUntilDone(ctx)
	}
	err = endWithin(ctx, stopTimeout, func() error { return c.withNewStore(ctx, o, serve) })
	if !started.Load() && ctx.Err() != nil { // stopped while it was starting
		return nil
	}
	return err
}

// newLimiter returns a limiter that the servers on a store share, if the store can have several.
func newLimiter(st store, log *slog.Logger) *apikey.Limiter {
	if shared, ok := st.(apikey.SharedLimits); ok {
		return apikey.NewSharedLimiter(shared, time.Now, log)
	}
	return apikey.NewLimiter(time.Now)
}

// openTrail opens the audit trail, if there is to be one. A file that cannot be opened is an error whatever --audit-failure says.
func (s serveCommand) openTrail(c *commands, io streams, recorder *metrics.Metrics, log *slog.Logger) (*audit.Trail, error) {
	if c.Audit.off() {
		return nil, nil
	}
	return c.Audit.open(io.out, audit.Options{Continue: s.AuditFailure == "continue", Failed: recorder.AuditFailed, Lost: recorder.AuditLost, Log: log})
}

func (s serveCommand) newAPI(st store, verifier *apikey.Verifier, limiter *apikey.Limiter, recorder *metrics.Metrics, counts *usage.Recorder, leaving *atomic.Bool, log *slog.Logger, trail *audit.Trail) (*api.API, error) {
	doc, err := contract()
	if err != nil {
		return nil, err
	}
	options := docs.Options{Prefix: string(s.PathPrefix), WithoutUI: s.Docs == "off"}
	if s.Dashboard == "public" {
		options.TestKeys = dashboard.TestKeys
	}
	pages, err := docs.New(providerapi.Contract, options)
	if err != nil {
		return nil, err
	}
	probe := func(ctx context.Context) error {
		if err := trail.Err(); err != nil {
			return err
		}
		return st.Ping(ctx)
	}
	ready := &readiness{probe: probe}
	recorder.Serve(st.Stats, verifier.Cached, func() bool { return !leaving.Load() && ready.scrape() })
	return api.New(api.Config{
		Contract: doc,
		Prefix:   string(s.PathPrefix),
		Docs:     pages,
		Store:    st,
		Ready: func(ctx context.Context) error {
			if leaving.Load() {
				return errors.New("the server is stopping")
			}
			return ready.check(ctx)
		},
		Keys:    verifier,
		Limiter: limiter,
		Metrics: recorder,
		Usage:   counts,
		Log:     log,
		Audit:   trail,
		Proxies: s.proxies(),
	})
}

func (s serveCommand) proxies() (networks []*net.IPNet) {
	for _, proxy := range s.TrustedProxies {
		networks = append(networks, proxy.IPNet)
	}
	return networks
}
