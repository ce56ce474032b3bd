//go:build !race

package scale

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/command"
	"github.com/carecycle/provider-api/server/internal/pgserver"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
)

// maxRatio is how much longer the median of an operation may take in the large database. A machine that is busy with other things
// adds to it; an operation that reads all that is stored takes 20 times as long, and 100 times in the long form.
const maxRatio = 5

// TestScale measures, prints a table, and fails if an operation depends on the size of the database.
func TestScale(t *testing.T) {
	small, large, rounds := 1_000, 20_000, 30
	if size := os.Getenv("SCALE"); size != "" {
		var err error
		if large, err = strconv.Atoi(size); err != nil || large < 1_000 {
			t.Fatalf("SCALE=%s is not a number from 1000", size)
		}
		small, rounds = large/100, 400
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			databases := [2]*database{}
			for i, size := range []int{small, large} {
				begin := time.Now()
				url, bytes := kind.create(t)
				databases[i] = fill(t, kind.open(t, url), size)
				t.Logf("%d records and what belongs to them: %d MB in %.1f s", size, bytes()>>20, time.Since(begin).Seconds())
			}
			report(t, databases, rounds)
		})
	}
}

// TestImport imports records with random IDs, two of each customer, and then three tenths as many more.
func TestImport(t *testing.T) {
	records := recordsOr(10_000)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			url, bytes := kind.create(t)
			kind.open(t, url).Close() // to create the tables
			for _, n := range []int{records, records * 3 / 10} {
				file, empty, begin := writeLines(t, n), bytes(), time.Now()
				memory := importFile(t, url, file)
				t.Logf("imported %d records, %.0f a second, in %d MB; %d bytes a record with its indexes and its first event", n,
					float64(n)/time.Since(begin).Seconds(), memory>>20, (bytes()-empty)/int64(n))
			}
		})
	}
}

// TestImportNextToCallers imports as many records as there are.
func TestImportNextToCallers(t *testing.T) {
	var file string
	prepare := func(d *database, records int) { file = writeLines(t, records) }
	nextToCallers(t, "an import", 10_000, prepare, func(d *database, _ int) { importFile(t, d.url, file) })
}

// recordsOr returns how many records make scale asks for, and n otherwise.
func recordsOr(n int) int {
	if size := os.Getenv("SCALE"); size != "" {
		n, _ = strconv.Atoi(size)
	}
	return n
}

// writeLines writes a file of records with random IDs, two of each customer, and returns its path.
func writeLines(t *testing.T, n int) (path string) {
	path = filepath.Join(t.TempDir(), "lines.ndjson")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewWriter(file)
	body := storetest.Body("")
	body = body[strings.Index(body, ",")+1:] // after the customer
	var customer uuid.UUID
	for i := range n {
		if i%2 == 0 {
			customer = uuid.New()
		}
		fmt.Fprintf(lines, `{"id":"%s","customerId":"%s",%s`+"\n", uuid.New(), customer, body)
	}
	if err := errors.Join(lines.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// importFile imports a file in a process of its own, and returns how much memory that took.
func importFile(t *testing.T, url, path string) (memory int64) {
	c := exec.Command(os.Args[0], "import", path, "--organization", organizationName, "--database", url)
	c.Env = append(os.Environ(), asProgram+"=1")
	var failed strings.Builder
	c.Stderr = &failed
	output, err := c.Output()
	if err != nil {
		t.Errorf("import: %v\n%s", err, &failed)
	}
	fmt.Sscanf(string(output), "VmHWM: %d kB", &memory)
	return memory << 10
}

// asProgram is the environment variable that makes the test be the program.
const asProgram = "SCALE_AS_PROGRAM"

// program is the program. On Linux it also says how much memory it has taken: the process that waits for it sees the most that either of
// the two has taken.
func program() {
	code := command.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Print(line)
		}
	}
	os.Exit(code)
}

// TestPurgeNextToCallers purges a customer with as many records as there are others.
func TestPurgeNextToCallers(t *testing.T) {
	var purged []provider.Provider
	prepare := func(d *database, records int) { purged = d.create(d.organization, records, records, nil) }
	nextToCallers(t, "a purge", 5_000, prepare, func(d *database, records int) {
		n := 0
		memory := peak(func() {
			d.check(provider.PurgeCustomer(context.Background(), d, d.organization, purged[0].CustomerID, func(more int) { n += more }))
		})
		if n != records {
			t.Errorf("%d records were purged, want %d", n, records)
		}
		t.Logf("the purge took %d MB of memory", memory>>20)
	})
}

// nextToCallers has callers change records while another process, here another store, does something. They get their turns, and SQLite's
// log stays short.
func nextToCallers(t *testing.T, what string, records int, prepare, run func(d *database, records int)) {
	records = recordsOr(records)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			url, _ := kind.create(t)
			d := &database{Store: kind.open(t, url), t: t, url: url}
			d.organization = d.newOrganization(organizationName)
			d.records = d.create(d.organization, records, 2, nil)
			if prepare != nil {
				prepare(d, records)
			}
			d.Close()
			d.Store = kind.open(t, url)
			other := *d
			other.Store = kind.open(t, url)
			const pause = 20 * time.Millisecond // of a caller: a thousand or three changes in a second
			alone := d.callers(pause, func() { time.Sleep(min(2*time.Second, time.Duration(records)*50*time.Microsecond)) })
			begin := time.Now()
			next := d.callers(pause, func() { run(&other, records) })
			t.Logf("an update alone: p50 %s, p99 %s, longest %s; next to %s of %.1f s: p50 %s, p99 %s, longest %s",
				milliseconds(median(alone)), milliseconds(alone[len(alone)*99/100]), milliseconds(alone[len(alone)-1]), what, time.Since(begin).Seconds(),
				milliseconds(median(next)), milliseconds(next[len(next)*99/100]), milliseconds(next[len(next)-1]))
			if len(next) < callers*3 {
				t.Errorf("%d updates by %d callers next to %s of %d records", len(next), callers, what, records)
			}
			if log, err := os.Stat(url + "-wal"); err == nil {
				t.Logf("the log has %d MB", log.Size()>>20)
				if log.Size() > 64<<20 {
					t.Errorf("the log has %d bytes, want at most 64 MB", log.Size())
				}
			}
		})
	}
}

// kinds are the stores. create returns the URL, or the path, of a new database, and a function that returns its size.
var kinds = []struct {
	name   string
	create func(*testing.T) (url string, bytes func() int64)
	open   func(t *testing.T, url string) storetest.Store
}{
	{"SQLite", createSQLite, func(t *testing.T, path string) storetest.Store {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		return opened(t, s, err)
	}},
	{"PostgreSQL", createPostgreSQL, func(t *testing.T, url string) storetest.Store {
		s, err := postgres.Open(t.Context(), url, postgres.Options{})
		return opened(t, s, err)
	}},
}

func opened(t *testing.T, s storetest.Store, err error) storetest.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	once := &closeOnce{Store: s}
	t.Cleanup(func() { once.Close() })
	return once
}

// closeOnce is a store that a test may have closed already.
type closeOnce struct {
	storetest.Store
	once sync.Once
}

// Close implements [storetest.Store].
func (c *closeOnce) Close() (err error) {
	c.once.Do(func() { err = c.Store.Close() })
	return err
}

func createSQLite(t *testing.T) (path string, bytes func() int64) {
	path = filepath.Join(t.TempDir(), "scale.db")
	return path, func() (all int64) {
		for _, suffix := range []string{"", "-wal"} {
			if info, err := os.Stat(path + suffix); err == nil {
				all += info.Size()
			}
		}
		return all
	}
}

func createPostgreSQL(t *testing.T) (url string, bytes func() int64) {
	if os.Getenv("SCALE") == "" {
		url = pgtest.New(t)
	} else {
		url = pgtest.Start(t, pgserver.Options{Durable: true, Settings: []string{"shared_buffers=4GB", "max_wal_size=16GB"}}).Database(t) // see docs/operations.md
	}
	return url, func() int64 { return databaseSize(t, url) }
}

// report measures each operation in both databases, in turn, and prints what it took.
func report(t *testing.T, databases [2]*database, rounds int) {
	var table strings.Builder
	fmt.Fprintf(&table, "\n| operation | p50 of %d | p50 of %d | ratio | p99 | longest |\n| --- | --: | --: | --: | --: | --: |\n", databases[0].size, databases[1].size)
	for _, o := range operations {
		times, ratio := measure(t, o, databases, rounds)
		for again := 0; again < 2 && o.tooSlow(ratio); again++ { // other programs may have been busy
			times, ratio = measure(t, o, databases, rounds)
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %.2f | %s | %s |\n", o.name, milliseconds(median(times[0])), milliseconds(median(times[1])), ratio,
			milliseconds(times[1][len(times[1])*99/100]), milliseconds(times[1][len(times[1])-1]))
		if o.tooSlow(ratio) {
			t.Errorf("%s takes %.1f times as long with %d records as with %d", o.name, ratio, databases[1].size, databases[0].size)
		}
	}
	var rates [2][]float64
	for range 2 + rounds/100 {
		for i, d := range databases {
			begin := time.Now()
			changes := d.callers(0, func() { time.Sleep(time.Duration(rounds) * 10 * time.Millisecond) })
			rates[i] = append(rates[i], float64(len(changes))/time.Since(begin).Seconds())
		}
	}
	slices.Sort(rates[0])
	slices.Sort(rates[1])
	fmt.Fprintf(&table, "\n%d callers: %.0f and %.0f changes a second, ratio %.2f\n", callers, rates[0][len(rates[0])/2], rates[1][len(rates[1])/2],
		rates[1][len(rates[1])/2]/rates[0][len(rates[0])/2])
	table.WriteString("\n| all of it | items | items a second | first after | memory |\n| --- | --: | --: | --: | --: |\n")
	for _, o := range scans {
		items, first := 0, time.Duration(0)
		var begin time.Time
		memory := peak(func() {
			begin = time.Now()
			err := o.run(context.Background(), databases[1], func() {
				if items++; items == 1 {
					first = time.Since(begin)
				}
			})
			if err != nil {
				t.Fatalf("%s: %v", o.name, err)
			}
		})
		fmt.Fprintf(&table, "| %s | %d | %.0f | %s | %d MB |\n", o.name, items, float64(items)/time.Since(begin).Seconds(), milliseconds(first), memory>>20)
	}
	t.Log(table.String())
}

// measure returns how long an operation took in each database, in turn and sorted, and the ratio of the medians.
func measure(t *testing.T, o operation, databases [2]*database, rounds int) (times [2][]time.Duration, ratio float64) {
	for n := range rounds + 3 {
		for i, d := range databases {
			begin := time.Now()
			if err := o.run(d); err != nil {
				t.Fatalf("%s: %v", o.name, err)
			}
			if took := time.Since(begin); n >= 3 { // the first ones prepare statements
				times[i] = append(times[i], took)
			}
		}
		if sum(times) > 20*time.Second {
			break
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	return times, float64(median(times[1])) / float64(median(times[0]))
}

func median(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func sum(times [2][]time.Duration) (all time.Duration) {
	for _, one := range append(slices.Clone(times[0]), times[1]...) {
		all += one
	}
	return all
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// peak returns by how many bytes the heap grows, at most, while f runs.
func peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5)) // what is left is in use
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, top := make(chan struct{}), make(chan uint64)
	go func() {
		highest := before.HeapAlloc
		for {
			select {
			case <-done:
				top <- highest - before.HeapAlloc
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&now)
				highest = max(highest, now.HeapAlloc)
			}
		}
	}()
	f()
	close(done)
	return <-top
}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		program()
	}
	pgtest.Main(m)
}
