//go:build linux

// Command bench measures the server next to what bounds it, on the machine that it runs on, and prints the result as Markdown for
// docs/performance.md:
//
//	go run ./server/bench          # all of it, a quarter of an hour
//	go run ./server/bench -quick   # a smoke run, a minute
//
// # What is measured
//
// The server as its operator runs it, durable, with validation, keys, history and log: on SQLite and on PostgreSQL, with
// a transaction for each request, and with databases of several sizes. Next to it: a bare net/http handler that echoes the body, the
// same UPDATE straight into a SQLite file, and pgbench with the same UPDATE. Each is a process of its own. The Go benchmark of one
// request in process runs as well. The report compares all this with the ratios that the server is to reach.
//
// # How
//
// The load comes from wrk, which must be installed, over loopback: a fixed number of connections, each of which waits
// for its response before it sends again. A request names a random provider and sets all of its properties but
// customerId; four of them change. The providers were imported by the server's own command. What is measured at one
// size starts from copies of one database, and with a warm-up that checks the status of every response. Everything is measured in
// several rounds; the report has the median of each, and the median of the rounds' ratios. wrk's percentiles count requests that it
// invents, as if a slow response had delayed others; the report removes them and shows both.
//
// PostgreSQL is a private server of package pgtest with the settings that it comes with and commits that wait for the
// disk. All files are in a temporary directory, which is removed; all processes end with this one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// timeout bounds a run.
const timeout = 2 * time.Hour

var errUsage = errors.New("wrong usage")

func main() {
	runtime.LockOSThread() // children end with the thread that started them
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

// dispatch is a peer's work if the first argument names one, otherwise the driver's.
func dispatch(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	if len(arguments) > 0 {
		if peer, found := peers[arguments[0]]; found {
			return peer(ctx, arguments[1:])
		}
	}
	p, err := parsePlan(arguments, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return measure(ctx, p, stdout, stderr)
}

// measure runs the plan and prints the report.
func measure(ctx context.Context, p plan, stdout, stderr io.Writer) error {
	directory, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b := &bench{plan: p, directory: directory, progress: stderr, report: &report{}}
	if err := b.run(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
		}
		return err
	}
	b.print(stdout, p)
	return nil
}

func parsePlan(arguments []string, stderr io.Writer) (plan, error) {
	p := plan{connections: []int{1, 16, 64, 256}, sizes: []int{1_000, 100_000, 1_000_000}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&p.rounds, "rounds", 3, "how often each thing is measured, in turn with the others")
	flags.IntVar(&p.seconds, "seconds", 5, "how long a measurement takes")
	flags.IntVar(&p.warmup, "warmup", 2, "how many `seconds` of load come before it")
	flags.Func("connections", "to each server, such as 1,64 (default 1,16,64,256)", numbers(&p.connections))
	flags.IntVar(&p.providers, "providers", 100_000, "how many the database has")
	flags.Func("sizes", "of the scale table: `providers`, such as 1000,10000 (default 1000,100000,1000000)", numbers(&p.sizes))
	flags.BoolVar(&p.quick, "quick", false, "make a smoke run, shorter and smaller in everything")
	if err := flags.Parse(arguments); err != nil {
		return p, err
	}
	if p.quick {
		p = plan{rounds: 1, seconds: 1, warmup: 1, connections: []int{1, crowd}, providers: 2_000, sizes: []int{1_000, 2_000}, quick: true}
	}
	switch {
	case flags.NArg() > 0:
		return p, fmt.Errorf("%q is not known", flags.Arg(0))
	case p.rounds%2 == 0:
		return p, errors.New("the median of the rounds takes an odd number of them")
	case p.rounds < 1 || p.seconds < 1 || p.warmup < 1 || p.providers < perCustomer || max(p.providers, slices.Max(p.sizes)) > 1<<24:
		return p, errors.New("the flags take sensible numbers")
	}
	return p, nil
}

// numbers reads a list of positive numbers.
func numbers(list *[]int) func(string) error {
	return func(text string) error {
		*list = nil
		for one := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(one)
			if err != nil || n < 1 {
				return errors.New("write positive numbers with commas between them")
			}
			*list = append(*list, n)
		}
		slices.Sort(*list)
		return nil
	}
}
