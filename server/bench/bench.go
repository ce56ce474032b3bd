//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// module is the one that is measured.
const module = "github.com/carecycle/provider-api"

// crowd is how many connections most of the goals speak of.
const crowd = 64

// plan is what a person chooses of a run.
type plan struct {
	rounds      int   // how often each thing is measured
	seconds     int   // of a measurement
	warmup      int   // seconds before it
	connections []int // to each server
	providers   int   // in the databases
	sizes       []int // of the databases of the scale table
	quick       bool
}

// bench is a run of the driver.
type bench struct {
	plan
	directory string // for all its files
	program   string // this one
	server    string // the one that is measured
	script    string // wrk's
	progress  io.Writer
	*report
}

// dataSet is a database that the server has imported providers into.
type dataSet struct {
	kind      databases
	database  string
	providers int
	key       string
}

func (b *bench) run(ctx context.Context) (err error) {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if load := loadAverage(); load > 0.5 {
		b.note("The machine was not quiet: its load average was %v at the start.", load)
	}
	b.say("running the Go benchmark")
	if b.inProcess, err = runGoBenchmark(ctx, b.quick); err != nil {
		return err
	}
	if err := b.onSQLite(ctx); err != nil {
		return fmt.Errorf("on SQLite: %w", err)
	}
	if err := b.onPostgres(ctx); err != nil {
		return fmt.Errorf("on PostgreSQL: %w", err)
	}
	return nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if err := findWrk(); err != nil {
		return err
	}
	if err := onDisk(b.directory); err != nil {
		return fmt.Errorf("%w; have TMPDIR name a directory on a disk", err)
	}
	if b.script, err = writeScript(b.directory); err != nil {
		return err
	}
	if b.program, err = os.Executable(); err != nil {
		return err
	}
	b.say("building the server")
	b.server = filepath.Join(b.directory, "server")
	_, err = output(command(ctx, "go", "build", "-o", b.server, module+"/server"))
	return err
}

// say reports progress.
func (b *bench) say(format string, values ...any) {
	fmt.Fprintf(b.progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", values...)
}

func (b *bench) onSQLite(ctx context.Context) error {
	kind := &files{directory: b.directory}
	data, err := b.fill(ctx, kind, serverOnSQLite, b.providers)
	if err != nil {
		return err
	}
	if err := b.inRounds(func() error { return b.roundOnSQLite(ctx, data) }); err != nil {
		return err
	}
	if err := kind.drop(ctx, data.database); err != nil {
		return err
	}
	return b.scale(ctx, serverOnSQLite, kind)
}

// inRounds measures the same things several times. They take turns, so that the machine's moods touch all of them.
func (b *bench) inRounds(measure func() error) error {
	for b.round = range b.rounds {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) roundOnSQLite(ctx context.Context, data *dataSet) error {
	err := b.withClone(ctx, data, func(database string) error {
		return b.withServer(ctx, b.own("bare"), func(echo *server) error {
			return b.withServer(ctx, b.serve(database), func(s *server) error {
				for _, connections := range b.connections {
					if err := b.load(ctx, bareHandler, echo, data, connections); err != nil {
						return err
					}
					if err := b.load(ctx, serverOnSQLite, s, data, connections); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		return err
	}
	err = b.withClone(ctx, data, func(database string) error {
		return b.withServer(ctx, b.own("unbatched", database), func(s *server) error {
			return b.load(ctx, serverUnbatched, s, data, crowd)
		})
	})
	if err != nil {
		return err
	}
	for _, raw := range []struct {
		subject
		rawRun
	}{
		{rawSingly, rawRun{Batch: 1}},
		{rawTogether, rawRun{Batch: crowd}},
		{rawUnchecked, rawRun{Batch: crowd, NoCheckpoints: true}},
	} {
		err := b.withClone(ctx, data, func(database string) error {
			raw.Database = database
			return b.write(ctx, raw.subject, raw.rawRun)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onPostgres does what onSQLite does. Without a PostgreSQL to measure, the report has a note instead.
func (b *bench) onPostgres(ctx context.Context) error {
	kind, err := startPostgres()
	if err != nil {
		b.note("PostgreSQL was not measured: %v.", err)
		return nil
	}
	defer kind.stop()
	data, err := b.fill(ctx, kind, serverOnPostgres, b.providers)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.note("PostgreSQL was not measured: %v.", err)
		return nil
	}
	b.note("PostgreSQL is %s with the settings it comes with, on the same disk, fsync on.", kind.version)
	if err := b.inRounds(func() error { return b.roundOnPostgres(ctx, data) }); err != nil {
		return err
	}
	if err := kind.drop(ctx, data.database); err != nil {
		return err
	}
	return b.scale(ctx, serverOnPostgres, kind)
}

func (b *bench) roundOnPostgres(ctx context.Context, data *dataSet) error {
	err := b.withClone(ctx, data, func(database string) error {
		return b.withServer(ctx, b.serve(database), func(s *server) error {
			for _, connections := range b.connections {
				if err := b.load(ctx, serverOnPostgres, s, data, connections); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, clients := range []int{16, 64} {
		err := b.withClone(ctx, data, func(database string) error { return b.pgbench(ctx, database, clients) })
		if err != nil {
			return err
		}
	}
	return nil
}

// scale measures the server at the sizes that the other measurements do not have.
func (b *bench) scale(ctx context.Context, subject subject, kind databases) error {
	var sets []*dataSet
	for _, size := range b.sizes {
		if size == b.providers && slices.Contains(b.connections, crowd) {
			continue
		}
		data, err := b.fill(ctx, kind, subject, size)
		if err != nil {
			return err
		}
		sets = append(sets, data)
	}
	err := b.inRounds(func() error {
		for _, data := range sets {
			err := b.withClone(ctx, data, func(database string) error {
				return b.withServer(ctx, b.serve(database), func(s *server) error {
					return b.load(ctx, subject, s, data, crowd)
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, data := range sets {
		err = cmp.Or(err, kind.drop(ctx, data.database))
	}
	return err
}

// fill creates a database with that many providers and a key, by the server's own commands, and records how long the
// import took.
func (b *bench) fill(ctx context.Context, kind databases, subject subject, providers int) (*dataSet, error) {
	lines := filepath.Join(b.directory, strconv.Itoa(providers)+".ndjson")
	if _, err := os.Stat(lines); err != nil {
		if err := writeImport(lines, providers); err != nil {
			return nil, err
		}
	}
	database, err := kind.create(ctx)
	if err != nil {
		return nil, err
	}
	b.say("importing %d providers", providers)
	begin := time.Now()
	if _, err := output(command(ctx, b.server, "import", lines, "--organization", "bench", "--database", database)); err != nil {
		return nil, err
	}
	b.imports = append(b.imports, imported{subject, providers, time.Since(begin)})
	key, err := output(command(ctx, b.server, "keys", "create", "--organization", "bench", "--name", "bench", "--rate-limit", "0", "--database", database))
	if err != nil {
		return nil, err
	}
	return &dataSet{kind, database, providers, strings.TrimSpace(string(key))}, kind.settle(ctx, database)
}

// serve is the server as its operator starts it, on a port that is free.
func (b *bench) serve(database string) []string {
	return []string{b.server, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--database", database}
}

// own is this program as one of the peers.
func (b *bench) own(peer string, arguments ...string) []string {
	return append([]string{b.program, peer}, arguments...)
}

func (b *bench) withServer(ctx context.Context, arguments []string, f func(*server) error) error {
	log, err := os.CreateTemp(b.directory, "*.log")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	return withServer(command(ctx, arguments[0], arguments[1:]...), log, f)
}

// withClone runs f on a copy of the data, so that no measurement finds what another left.
func (b *bench) withClone(ctx context.Context, data *dataSet, f func(database string) error) error {
	database, err := data.kind.clone(ctx, data.database)
	if err != nil {
		return err
	}
	if err := f(database); err != nil {
		return err
	}
	return data.kind.drop(ctx, database)
}

// load measures a server.
func (b *bench) load(ctx context.Context, subject subject, s *server, data *dataSet, connections int) error {
	b.say("%s: %d connections, %d providers", subject, connections, data.providers)
	generator := wrk{b.script, data.providers, data.key}
	if _, err := generator.run(ctx, s.url, connections, b.warmup, true); err != nil {
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	a, err := generator.run(ctx, s.url, connections, b.seconds, false)
	if err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	peak, err := s.peak()
	b.add(result{
		subject: subject, providers: data.providers, connections: connections, responses: *a,
		cpu: (after - before).Seconds() / float64(a.count) * 1000, peak: peak,
	})
	return err
}

// write measures a process that writes straight into a SQLite file.
func (b *bench) write(ctx context.Context, subject subject, run rawRun) error {
	b.say("%s", subject)
	run.Providers = b.providers
	run.Warmup, run.Length = time.Duration(b.warmup)*time.Second, time.Duration(b.seconds)*time.Second
	order, err := json.Marshal(run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, run.Warmup+run.Length+time.Minute)
	defer cancel()
	c := command(ctx, b.program, "raw")
	c.Stdin = bytes.NewReader(order)
	text, err := output(c)
	if err != nil {
		return err
	}
	var outcome rawOutcome
	if err := json.Unmarshal(text, &outcome); err != nil {
		return err
	}
	b.add(result{subject: subject, providers: b.providers, connections: 1,
		responses: responses{count: outcome.Updates, took: outcome.Took, times: outcome.Times}})
	return nil
}

func (b *bench) pgbench(ctx context.Context, database string, clients int) error {
	b.say("%s: %d clients", pgbenchUpdate, clients)
	a, err := pgbench(ctx, b.directory, database, b.providers, clients, b.warmup, b.seconds)
	if err != nil {
		return err
	}
	b.add(result{subject: pgbenchUpdate, providers: b.providers, connections: clients, responses: *a})
	return nil
}
