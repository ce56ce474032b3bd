//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/batch"
	"github.com/carecycle/provider-api/server/internal/docs"
	"github.com/carecycle/provider-api/server/internal/metrics"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/writes"
	"github.com/getkin/kin-openapi/openapi3"
)

// peers are the processes that the driver starts by running its own program again, by their first argument.
var peers = map[string]func(ctx context.Context, arguments []string) error{
	"bare":      func(ctx context.Context, _ []string) error { return listenAndServe(ctx, http.HandlerFunc(echo)) },
	"unbatched": func(ctx context.Context, arguments []string) error { return unbatched(ctx, arguments[0]) },
	"raw":       func(ctx context.Context, _ []string) error { return rawPeer(ctx, os.Stdin, os.Stdout) },
}

// echo does the least that a server can do: it reads a request and responds.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// unbatched is the server on a SQLite file, with a transaction for each update.
func unbatched(ctx context.Context, database string) error {
	contract, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		return err
	}
	pages, err := docs.New(providerapi.Contract, docs.Options{})
	if err != nil {
		return err
	}
	recorder := metrics.New()
	store, err := sqlite.Open(ctx, database, sqlite.Options{Batch: writes.Options{Options: batch.Options{MaxBatch: 1}, Transaction: recorder.Transaction}})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	verifier := apikey.NewVerifier(store, time.Now, log)
	handler, err := api.New(api.Config{
		Contract: contract, Docs: pages, Store: store, Ready: store.Ping, Ping: store.Ping,
		Keys: verifier, Limiter: apikey.NewLimiter(time.Now), Metrics: recorder, Log: log,
	})
	if err == nil {
		err = listenAndServe(ctx, handler)
	}
	verifier.Close()
	return errors.Join(err, store.Close())
}

// listenAndServe serves on loopback until ctx is done, and logs where, as the server does.
func listenAndServe(ctx context.Context, handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("listening", "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}
