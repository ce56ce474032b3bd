package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/tracing"
	"github.com/carecycle/provider-api/server/internal/usage"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/coreos/go-systemd/v22/daemon"
)

// service is what serve runs. It listens before it opens the store, so that probes get a response while it waits for a database, and
// serves the API once the store is open.
type service struct {
	serveCommand
	commands *commands
	out      io.Writer // for the demo
	log      *slog.Logger
	level    *slog.LevelVar // of the log
	recorder *metrics.Metrics
	trail    *audit.Trail      // nil for none
	traces   *tracing.Provider // nil for none

	public, admin     net.Listener // admin is nil for none
	handler           *switchable  // of the public listener
	dashboard         *switchable  // of the admin listener
	servers           *servers
	leaving, stopping atomic.Bool   // see servers
	opened            chan struct{} // closed when the API is served
}

// openTrail opens the audit trail, if there is to be one. A file that cannot be opened is an error whatever --audit-failure says.
func (v *service) openTrail(io streams) (err error) {
	if file := v.commands.Audit; !file.off() {
		v.trail, err = file.open(io.out, audit.Options{
			Continue: v.AuditFailure == "continue", Failed: v.recorder.AuditFailed, Lost: v.recorder.AuditLost, Log: v.log,
		})
	}
	return err
}

func (v *service) listen() (err error) {
	defer func() {
		if err != nil && v.Demo {
			err = fmt.Errorf("%w; for example: %s %s", err, os.Args[0], demoElsewhere)
		}
	}()
	if v.public, err = listen("--addr", v.Addr); err != nil {
		return err
	}
	if v.AdminAddr.off {
		return nil
	}
	if v.admin, err = listen("--admin-addr", v.AdminAddr.address); err != nil {
		return err
	}
	if !v.AdminAddr.onLoopback() {
		v.log.Warn("the admin address can be reached from other machines; make sure that only the operator's can", "admin", v.admin.Addr().String())
	}
	return nil
}

func (v *service) closeListeners() {
	for _, listener := range []net.Listener{v.public, v.admin} {
		if listener != nil {
			listener.Close()
		}
	}
}

// start serves what can be served without the store.
func (v *service) start() error {
	v.opened = make(chan struct{})
	v.handler = newSwitchable(v.untilOpened())
	v.dashboard = newSwitchable(http.NotFoundHandler())
	v.servers = newServers(v.log, &v.stopping, endpoint{v.public, httpServer(closeWhen(&v.stopping, v.handler), v.log)})
	v.servers.leaving, v.servers.shutdownDelay = &v.leaving, v.ShutdownDelay
	if v.TLSCert != "" {
		certificate, err := newCertificate(v.TLSCert, v.TLSKey, v.log)
		if err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		v.servers.public.server.TLSConfig = certificate.config()
	}
	if v.admin != nil {
		v.servers.admin = &endpoint{v.admin, adminServer(v.AdminAddr.address, v.profiles(), v.recorder, v.dashboard, v.level, v.log)}
	}
	v.servers.start()
	return nil
}

// untilOpened returns the handler of the public listener until the API is served. Probes get a response at once. Other requests wait, as a
// proxy sends them as soon as the server listens, but not for long.
func (v *service) untilOpened() http.Handler {
	starting := api.Starting(api.Config{Log: v.log, LogSuccess: v.AccessLog.sampler(), Metrics: v.recorder, Proxies: v.proxies()})
	impatient := make(chan struct{})
	time.AfterFunc(startPatience, func() { close(impatient) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.IsProbe(r.URL.Path) {
			select {
			case <-v.opened:
				v.handler.ServeHTTP(w, r)
				return
			case <-impatient:
			case <-r.Context().Done():
			}
		}
		starting.ServeHTTP(w, r)
	})
}

func (v *service) storeOptions() storeOptions {
	return storeOptions{
		writes: writes.Options{
			Transaction: v.recorder.Transaction,
			Panicked:    func(trace string) { v.log.Error("a transaction panicked", "trace", trace) },
		},
		patient: true,
		waiting: func(reason string) {
			v.log.Warn("waiting for the database", append([]any{"reason", reason}, v.addresses()...)...)
		},
	}
}

// serve serves the API and the dashboard of a store until ctx is done.
func (v *service) serve(ctx context.Context, st store) error {
	if v.Demo {
		if err := demo(ctx, st, v.public.Addr().String(), string(v.PathPrefix), v.out); err != nil {
			return fmt.Errorf("prepare the demo: %w", err)
		}
	}
	verifier := apikey.NewVerifier(st, time.Now, v.log)
	defer verifier.Close()
	limiter := newLimiter(st, v.log)
	defer limiter.Close()
	var counts *usage.Recorder
	if v.Dashboard != "off" {
		counts = usage.NewRecorder(st, time.Now, v.log)
		defer counts.Close()
	}
	ready, err := v.newAPI(st, verifier, limiter, counts)
	if err != nil {
		return err
	}
	defer ready.Close()
	pages, err := v.newDashboard(st, ready, v.public.Addr().String())
	if err != nil {
		return err
	}
	v.show(ready, pages)
	close(v.opened)
	v.log.Info("listening", v.attributes(st)...)
	notifySystemd(daemon.SdNotifyReady, v.log)
	return v.servers.serveUntilDone(ctx)
}

// show serves the API, and the dashboard where --dashboard wants it.
func (v *service) show(ready, pages http.Handler) {
	switch v.Dashboard {
	case "admin":
		v.dashboard.set(pages)
	case "public":
		ready = withDashboard(pages, ready)
	}
	v.handler.set(ready)
}

// attributes are what the log says of the server when it serves.
func (v *service) attributes(st store) []any {
	attributes := append(v.addresses(), "version", programVersion())
	if v.TLSCert != "" {
		attributes = append(attributes, "tls", true)
	}
	return append(attributes, "database", v.commands.Database.name(), "schema", st.Stats().SchemaVersion, slog.Group("settings", changedSettings(v.commands.flags)...))
}

func (v *service) addresses() []any {
	addresses := []any{"address", v.public.Addr().String()}
	if v.admin != nil {
		addresses = append(addresses, "admin", v.admin.Addr().String())
	}
	return addresses
}

// newLimiter returns a limiter that the servers on a store share, if the store can have several.
func newLimiter(st store, log *slog.Logger) *apikey.Limiter {
	if shared, ok := st.(apikey.SharedLimits); ok {
		return apikey.NewSharedLimiter(shared, time.Now, log)
	}
	return apikey.NewLimiter(time.Now)
}

func (v *service) newAPI(st store, verifier *apikey.Verifier, limiter *apikey.Limiter, counts *usage.Recorder) (*api.API, error) {
	doc, err := contract()
	if err != nil {
		return nil, err
	}
	options := docs.Options{Prefix: string(v.PathPrefix), WithoutUI: v.Docs == "off"}
	if v.Dashboard == "public" {
		options.Dashboard, options.TestKeys = dashboard.Home, dashboard.TestKeys
	}
	pages, err := docs.New(providerapi.Contract, options)
	if err != nil {
		return nil, err
	}
	ready := &readiness{probe: func(ctx context.Context) error {
		if err := v.trail.Err(); err != nil {
			return err
		}
		return st.Ping(ctx)
	}}
	v.recorder.Serve(st.Stats, verifier.Cached, func() bool { return !v.leaving.Load() && ready.scrape() })
	config := api.Config{
		Contract: doc,
		Prefix:   string(v.PathPrefix),
		Docs:     pages,
		Store:    st,
		Ready: func(ctx context.Context) error {
			if v.leaving.Load() {
				return errors.New("the server is stopping")
			}
			return ready.check(ctx)
		},
		Ping:       st.Ping,
		Keys:       verifier,
		Limiter:    limiter,
		Metrics:    v.recorder,
		Usage:      counts,
		Log:        v.log,
		LogSuccess: v.AccessLog.sampler(),
		Audit:      v.trail,
		Proxies:    v.proxies(),
	}
	if v.traces != nil { // a nil Provider is no nil Tracer
		config.Tracer = v.traces
	}
	return api.New(config)
}
