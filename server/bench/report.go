//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

// subject is what a measurement is of, in the words of the report.
type subject string

const (
	bareHandler      subject = "bare net/http handler that echoes the body"
	serverOnSQLite   subject = "server on SQLite"
	serverUnbatched  subject = "server on SQLite, a transaction for each request"
	rawSingly        subject = "raw UPDATE into SQLite, 1 a transaction"
	rawTogether      subject = "raw UPDATE into SQLite, 64 a transaction"
	rawUnchecked     subject = "raw UPDATE into SQLite, 64 a transaction, no checkpoints"
	serverOnPostgres subject = "server on PostgreSQL"
	pgbenchUpdate    subject = "pgbench, the same UPDATE"
)

var subjects = []subject{bareHandler, serverOnSQLite, serverUnbatched, rawSingly, rawTogether, rawUnchecked, serverOnPostgres, pgbenchUpdate}

// result is one measurement.
type result struct {
	round       int
	subject     subject
	providers   int
	connections int
	responses
	cpu  float64 // seconds for a thousand responses; 0 if not measured
	peak int64   // bytes; 0 if not measured
}

// imported is an import, its check of all lines included.
type imported struct {
	subject   subject
	providers int
	took      time.Duration
}

// report is all that was measured.
type report struct {
	round     int // the one in flight
	results   []result
	imports   []imported
	inProcess map[string]cost
	notes     []string
}

func (r *report) add(one result) {
	one.round = r.round
	r.results = append(r.results, one)
}

func (r *report) note(format string, values ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, values...))
}

// find returns a result's rate and percentiles in a round, all NaN if there is none.
func (r *report) find(round int, s subject, providers, connections int) (rate, p50, p99 float64) {
	i := slices.IndexFunc(r.results, func(one result) bool {
		return one.round == round && one.subject == s && one.providers == providers && one.connections == connections
	})
	if i < 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	found := r.results[i]
	return found.rate(), milliseconds(found.times.percentile(50)), milliseconds(found.times.percentile(99))
}

// medians returns, of what was measured in several rounds, the one with the median rate, in the order of the first round.
func (r *report) medians() []result {
	var all []result
	for _, first := range r.results {
		if first.round > 0 {
			continue
		}
		var same []result
		for _, one := range r.results {
			if one.subject == first.subject && one.providers == first.providers && one.connections == first.connections {
				same = append(same, one)
			}
		}
		slices.SortFunc(same, func(a, b result) int { return cmp.Compare(a.rate(), b.rate()) })
		all = append(all, same[len(same)/2])
	}
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print writes the report as Markdown.
func (r *report) print(w io.Writer, p plan) {
	fmt.Fprintf(w, "%s\n\n", machine())
	if p.quick {
		fmt.Fprint(w, "**A smoke run: it shows that the driver works; its numbers mean nothing.**\n\n")
	}
	r.printMain(w, p)
	r.printBars(w, p)
	r.printScale(w, p)
	r.printImports(w)
	r.printInProcess(w)
	for _, note := range r.notes {
		fmt.Fprintf(w, "%s\n\n", note)
	}
}

func (r *report) printMain(w io.Writer, p plan) {
	fmt.Fprintf(w, "%s providers, %d s each after %d s of warm-up, the median of %d rounds, load generator on the same machine:\n\n", thousands(p.providers), p.seconds, p.warmup, p.rounds)
	fmt.Fprintln(w, "| | connections | requests/s | p50 ms | p99 ms | wrk's p99 ms | CPU s / 1,000 | peak MiB |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	medians := r.medians()
	for _, s := range subjects {
		for _, one := range medians {
			if one.subject != s || one.providers != p.providers {
				continue
			}
			corrected, cpu, peak := "", "", ""
			if one.corrected != nil {
				corrected = fmt.Sprintf("%.2f", milliseconds(one.corrected.percentile(99)))
				cpu = fmt.Sprintf("%.3f", one.cpu)
				peak = strconv.FormatInt(one.peak>>20, 10)
			}
			fmt.Fprintf(w, "| %s | %d | %s | %.2f | %.2f | %s | %s | %s |\n", s, one.connections, thousands(int(one.rate())),
				milliseconds(one.times.percentile(50)), milliseconds(one.times.percentile(99)), corrected, cpu, peak)
		}
	}
	fmt.Fprint(w, `
Every connection waits for its response before it sends again. The percentiles are of what was measured; wrk's own count
invented requests that would have been sent while a response was slow. The raw UPDATE and pgbench change the same columns
of the same rows without HTTP, authentication, validation, reading the record or history; theirs are times of
transactions. CPU and memory are the server process's; PostgreSQL's come on top.

`)
}

// goal is a ratio that the server is to reach: the median of those of each round.
type goal struct {
	number  int
	what    string
	atLeast bool
	limit   float64
	value   float64 // NaN if not measured
}

func (r *report) goals(p plan) []goal {
	goals := r.goalsOf(0, p)
	for i := range goals {
		var values []float64
		for round := range p.rounds {
			values = append(values, r.goalsOf(round, p)[i].value)
		}
		slices.Sort(values) // NaN first
		goals[i].value = values[len(values)/2]
	}
	return goals
}

func (r *report) goalsOf(round int, p plan) []goal {
	n := p.providers
	small, large := slices.Min(p.sizes), slices.Max(p.sizes)
	rate := func(s subject, providers, connections int) float64 {
		v, _, _ := r.find(round, s, providers, connections)
		return v
	}
	p50 := func(s subject, connections int) float64 { _, v, _ := r.find(round, s, n, connections); return v }
	p99 := func(s subject, connections int) float64 { _, _, v := r.find(round, s, n, connections); return v }
	onSQLite, onPostgres := rate(serverOnSQLite, n, crowd), rate(serverOnPostgres, n, crowd)
	best := rate(pgbenchUpdate, n, crowd)
	if other := rate(pgbenchUpdate, n, 16); other > best {
		best = other
	}
	bare, full := r.inProcess["bare"], r.inProcess["full"]
	return []goal{
		{1, "SQLite, 64 connections: requests/s to the raw UPDATE's, 64 a transaction", true, 0.6, onSQLite / rate(rawTogether, n, 1)},
		{1, "the same, to a raw UPDATE that never empties its log", true, 0.6, onSQLite / rate(rawUnchecked, n, 1)},
		{1, "SQLite, 64 connections: requests/s to the bare handler's (aim: 0.35)", true, 0.25, onSQLite / rate(bareHandler, n, crowd)},
		{1, "SQLite, 64 connections: requests/s to a transaction for each", true, 6, onSQLite / rate(serverUnbatched, n, crowd)},
		{2, "SQLite, 1 connection: p50 to the raw UPDATE's plus the bare handler's", false, 1.5, p50(serverOnSQLite, 1) / (p50(rawSingly, 1) + p50(bareHandler, 1))},
		{3, "PostgreSQL, 64 connections: requests/s to pgbench's best", true, 0.8, onPostgres / best},
		{4, "SQLite, 64 connections: p99 to p50", false, 5, p99(serverOnSQLite, crowd) / p50(serverOnSQLite, crowd)},
		{4, "PostgreSQL, 64 connections: p99 to p50", false, 5, p99(serverOnPostgres, crowd) / p50(serverOnPostgres, crowd)},
		{4, "SQLite: requests/s with the most providers to the fewest", true, 0.7, rate(serverOnSQLite, large, crowd) / rate(serverOnSQLite, small, crowd)},
		{4, "PostgreSQL: requests/s with the most providers to the fewest", true, 0.7, rate(serverOnPostgres, large, crowd) / rate(serverOnPostgres, small, crowd)},
		{5, "in process: time to that of a bare handler with encoding/json", false, 2.5, full.nanoseconds / bare.nanoseconds},
		{5, "in process: allocations to the same (aim: 1.6)", false, 2, full.allocations / bare.allocations},
	}
}

// verdict says whether the goal is reached.
func (b goal) verdict() string {
	switch {
	case math.IsNaN(b.value):
		return "not measured"
	case b.value >= b.limit == b.atLeast || b.value == b.limit:
		return "reached"
	}
	return "**missed**"
}

func (r *report) printBars(w io.Writer, p plan) {
	fmt.Fprintln(w, "| goal | ratio | wanted | measured | |")
	fmt.Fprintln(w, "| ---: | --- | ---: | ---: | --- |")
	for _, b := range r.goals(p) {
		sign, value := "≤", "–"
		if b.atLeast {
			sign = "≥"
		}
		if !math.IsNaN(b.value) {
			value = fmt.Sprintf("%.2f", b.value)
		}
		fmt.Fprintf(w, "| %d | %s | %s %v | %s | %s |\n", b.number, b.what, sign, b.limit, value, b.verdict())
	}
	fmt.Fprintln(w)
}

func (r *report) printScale(w io.Writer, p plan) {
	fmt.Fprintf(w, "By the number of providers, %d connections:\n\n", crowd)
	fmt.Fprintln(w, "| | providers | requests/s | p50 ms | p99 ms | peak MiB |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: | ---: |")
	medians := r.medians()
	for _, s := range []subject{serverOnSQLite, serverOnPostgres} {
		for _, size := range slices.Sorted(slices.Values(p.sizes)) {
			for _, one := range medians {
				if one.subject == s && one.providers == size && one.connections == crowd {
					fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.2f | %d |\n", s, thousands(size), thousands(int(one.rate())),
						milliseconds(one.times.percentile(50)), milliseconds(one.times.percentile(99)), one.peak>>20)
				}
			}
		}
	}
	fmt.Fprintln(w)
}

func (r *report) printImports(w io.Writer) {
	const fewest = 100_000 // of fewer, the start of the process is most
	if !slices.ContainsFunc(r.imports, func(one imported) bool { return one.providers >= fewest }) {
		return
	}
	fmt.Fprintln(w, "| import, with its check of all lines | records | records/s |")
	fmt.Fprintln(w, "| --- | ---: | ---: |")
	for _, one := range r.imports {
		if one.providers >= fewest {
			fmt.Fprintf(w, "| %s | %s | %s |\n", one.subject, thousands(one.providers), thousands(int(float64(one.providers)/one.took.Seconds())))
		}
	}
	fmt.Fprintln(w)
}

func (r *report) printInProcess(w io.Writer) {
	fmt.Fprintln(w, "| one request in process, without a store | µs | allocations | bytes |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: |")
	for _, line := range [][2]string{{"bare", "bare net/http and encoding/json, no validation"}, {"full", "the whole pipeline"}} {
		c := r.inProcess[line[0]]
		fmt.Fprintf(w, "| %s | %.1f | %.0f | %s |\n", line[1], c.nanoseconds/1000, c.allocations, thousands(int(c.bytes)))
	}
	fmt.Fprintln(w)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// machine describes the machine of the measurements.
func machine() string {
	about := func(path, label string) string {
		text, _ := os.ReadFile(path) // not known is left out
		_, rest, _ := strings.Cut(string(text), label)
		line, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(line, "\t :")
	}
	return fmt.Sprintf("Measured by `make bench` on %s: %s, %d processors, Linux %s, %s, SQLite %s.",
		time.Now().Format(time.DateOnly), about("/proc/cpuinfo", "model name"), runtime.NumCPU(),
		about("/proc/sys/kernel/osrelease", ""), runtime.Version(), sqlite.Version)
}
