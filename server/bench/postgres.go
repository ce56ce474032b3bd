//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/jackc/pgx/v5"
)

// instance is a private PostgreSQL server with its default settings, whose commits wait for the disk.
type instance struct {
	server  *pgserver.Server
	version string
}

func startPostgres() (*instance, error) {
	if err := onDisk("/tmp"); err != nil { // where pgserver keeps it
		return nil, err
	}
	server, err := pgserver.Start(pgserver.Options{Durable: true})
	if err != nil {
		return nil, err
	}
	i := &instance{server: server}
	if i.version, err = i.serverVersion(); err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

func (i *instance) serverVersion() (string, error) {
	database, err := i.server.CreateDatabase()
	if err != nil {
		return "", err
	}
	c, err := pgx.Connect(context.Background(), database)
	if err != nil {
		return "", err
	}
	defer c.Close(context.Background())
	return c.PgConn().ParameterStatus("server_version"), nil
}

func (i *instance) stop() { i.server.Remove() }

func (i *instance) create(context.Context) (string, error) { return i.server.CreateDatabase() }

func (i *instance) settle(ctx context.Context, database string) error {
	return execute(ctx, database, "VACUUM (ANALYZE)", "CHECKPOINT")
}

func (i *instance) clone(_ context.Context, database string) (string, error) {
	clone, err := i.server.CloneDatabase(database)
	if err != nil {
		return "", err
	}
	return clone, i.server.Execute("CHECKPOINT")
}

func (i *instance) drop(_ context.Context, database string) error {
	return errors.Join(i.server.DropDatabase(database), i.server.Execute("CHECKPOINT"))
}

func execute(ctx context.Context, database string, statements ...string) error {
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// pgbench runs PostgreSQL's own load generator with the same UPDATE as rawUpdate, in a transaction each, by so many
// clients for so many seconds, of which those of the warm-up, the first, do not count.
func pgbench(ctx context.Context, directory, database string, providers, clients, warmup, seconds int) (*responses, error) {
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(programs) == 0 {
		return nil, errors.New("pgbench is not installed; apt-get install postgresql")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(warmup+seconds)*time.Second+time.Minute)
	defer cancel()
	directory, err = os.MkdirTemp(directory, "pgbench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	script := filepath.Join(directory, "update.sql")
	if err := os.WriteFile(script, []byte(pgbenchScript(providers)), 0o600); err != nil {
		return nil, err
	}
	c := command(ctx, programs[len(programs)-1], "--no-vacuum", "--protocol=prepared", "--client="+strconv.Itoa(clients), "--jobs=2",
		"--time="+strconv.Itoa(warmup+seconds), "--file="+script, "--log", "--log-prefix="+filepath.Join(directory, "log"), database)
	if _, err := output(c); err != nil {
		return nil, err
	}
	logs, err := filepath.Glob(filepath.Join(directory, "log.*")) // one for each job
	if err != nil {
		return nil, err
	}
	a, err := readLogs(logs, int64(warmup)*1_000_000)
	if err != nil {
		return nil, fmt.Errorf("read pgbench's log: %w", err)
	}
	return a, nil
}

// readLogs reads pgbench's logs, a line for each transaction: the third field is how many microseconds it took, the
// fifth and the sixth are the second and microsecond at which it ended.
func readLogs(paths []string, warmup int64) (*responses, error) {
	type transaction struct{ took, end int64 }
	var all []transaction
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			var one transaction
			var client, number, script, second int64
			if _, err := fmt.Sscan(line, &client, &number, &one.took, &script, &second, &one.end); err != nil {
				return nil, err
			}
			one.end += second * 1_000_000
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no transaction ended")
	}
	byEnd := func(a, b transaction) int { return cmp.Compare(a.end, b.end) }
	begin, end := slices.MinFunc(all, byEnd).end+warmup, slices.MaxFunc(all, byEnd).end
	a := &responses{took: time.Duration(end-begin) * time.Microsecond}
	for _, one := range all {
		if one.end > begin {
			a.count++
			a.times.addCount(int(one.took), 1)
		}
	}
	return a, nil
}

// pgbenchScript is the transaction: as with rawUpdate, every column that the server sets is set.
func pgbenchScript(providers int) string {
	set := "version = version + 1, updated_at = now()"
	for _, p := range record {
		value := fmt.Sprint(p.value)
		if text, ok := p.value.(string); ok {
			value = "'" + strings.Replace(text, "@", "' || :digits || '", 1) + "'"
		}
		set += ", " + p.column + " = " + value
	}
	return fmt.Sprintf(`\set number random(0, %d)
\set digits random(100000, 999999)
UPDATE providers SET %s WHERE organization_id = 1 AND id = ('00000000-0000-4000-8000-' || lpad(to_hex(:number::bigint), 12, '0'))::uuid;
`, providers-1, strings.ReplaceAll(set, ":digits", ":digits::text"))
}
