//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed wrk.lua
var script []byte

// wrk is the load generator: github.com/wg/wrk, with one thread, which took 14 to 18 µs of a processor for a request
// where two threads took 15 to 25.
type wrk struct {
	script    string // its path
	providers int
	key       string
}

// responseTimeout is how long wrk waits for a response.
const responseTimeout = 10 * time.Second

// findWrk says what to do if wrk is not there.
func findWrk() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk, the load generator, is not installed; apt-get install wrk")
	}
	return nil
}

func writeScript(directory string) (string, error) {
	path := filepath.Join(directory, "wrk.lua")
	return path, os.WriteFile(path, script, 0o600)
}

// responses are those that wrk has counted.
type responses struct {
	count     int
	took      time.Duration
	times     histogram
	corrected histogram // the times as wrk reports them
}

func (a *responses) rate() float64 { return float64(a.count) / a.took.Seconds() }

// run sends requests over so many connections, each of which waits for its response, for so many seconds. A response
// other than 200 is an error: checked looks at every status, which takes wrk some time; otherwise wrk counts those
// from 400 on.
func (w wrk) run(ctx context.Context, url string, connections, seconds int, checked bool) (*responses, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+time.Minute)
	defer cancel()
	arguments := []string{
		"--threads", "1", "--connections", strconv.Itoa(connections), "--duration", strconv.Itoa(seconds),
		"--timeout", strconv.Itoa(int(responseTimeout.Seconds())), "--script", w.script, url,
		strconv.Itoa(w.providers), w.key, "{" + members() + "}", strconv.Itoa(rand.IntN(1 << 30)),
	}
	if checked {
		arguments = append(arguments, "check")
	}
	text, err := output(command(ctx, "wrk", arguments...))
	if err != nil {
		return nil, err
	}
	a, failed, wrong, err := parse(string(text), connections)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read wrk's output: %w:\n%s", err, text)
	case failed > 0:
		return nil, fmt.Errorf("%d requests got no response within %v", failed, responseTimeout)
	case wrong > 0:
		return nil, fmt.Errorf("%d of %d responses were not 200", wrong, a.count)
	case a.count == 0:
		return nil, errors.New("there was no response")
	}
	return a, nil
}

// parse reads what the script prints when it is done, below what wrk itself prints.
func parse(text string, connections int) (a *responses, failed, wrong int, err error) {
	_, text, _ = strings.Cut(text, "\ntotals")
	totals, times, _ := strings.Cut(text, "\n")
	a = &responses{}
	var microseconds int
	if _, err := fmt.Sscan(totals, &microseconds, &a.count, &failed, &wrong); err != nil {
		return nil, 0, 0, err
	}
	a.took = time.Duration(microseconds) * time.Microsecond
	for line := range strings.Lines(times) {
		var time, count int
		if _, err := fmt.Sscan(line, &time, &count); err != nil {
			return nil, 0, 0, err
		}
		a.corrected.addCount(time, count)
	}
	a.times = recorded(a.corrected, microseconds, a.count, connections)
	if seen := a.times.total(); failed == 0 && seen != a.count {
		err = fmt.Errorf("%d responses have %d times; does this wrk correct them in another way?", a.count, seen)
	}
	return a, failed, wrong, err
}

// recorded returns the times as wrk recorded them. Before it reports them it invents some: for a response that took a
// multiple of the mean it adds those of the requests that would have been sent in the meantime if requests did not wait for
// responses (stats_correct in its stats.c). From the slowest down, that can be undone.
func recorded(corrected histogram, microseconds, count, connections int) histogram {
	times := append(histogram{}, corrected...)
	if count < connections {
		return times
	}
	interval := microseconds / (count / connections)
	for slow := len(times) - 1; slow >= 2*interval; slow-- {
		for invented := slow - interval; invented > interval; invented -= interval {
			times[invented] -= times[slow]
		}
	}
	return times
}
