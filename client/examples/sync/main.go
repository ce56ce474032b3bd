// Command sync brings providers into the state that a file describes, as a program does each night. A line of the file is
//
//	{"customerId": "3c90…", "providerId": "7d5f…", "set": {"phone": "+1 555 0100", "fax": null}}
//
// A property that "set" does not have is left alone. Running it again changes nothing, so it can be stopped at any time.
//
//	CARECYCLE_API_KEY=cc_… sync [--url https://…] [--workers 16] < changes.ndjson
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carecycle/provider-api/client"
)

// line is one change.
type line struct {
	CustomerID client.CustomerID     `json:"customerId"`
	ProviderID client.ProviderID     `json:"providerId"`
	Set        client.ProviderUpdate `json:"set"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("sync: ")
	url := flag.String("url", client.DefaultBaseURL, "the API")
	workers := flag.Int("workers", 16, "calls at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	// One client for all workers: they share the rate limit of the key, however many they are. A call may wait for its turn for long.
	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"), client.WithBaseURL(*url), client.WithRetries(10, time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	var done, failed atomic.Int64
	lines := make(chan numbered)
	var all sync.WaitGroup
	for range *workers {
		all.Go(func() {
			for l := range lines {
				if err := apply(ctx, c, l.text); err != nil {
					log.Printf("line %d: %v", l.number, err)
					failed.Add(1)
				} else {
					done.Add(1)
				}
			}
		})
	}
	err = read(ctx, os.Stdin, lines)
	all.Wait()
	log.Printf("%d providers are as the file says; %d lines failed", done.Load(), failed.Load())
	if err != nil {
		log.Fatal(err)
	}
	if failed.Load() > 0 {
		os.Exit(1)
	}
}

type numbered struct {
	number int
	text   []byte
}

// read sends each line to the workers.
func read(ctx context.Context, r io.Reader, lines chan<- numbered) error {
	defer close(lines)
	scanner := bufio.NewScanner(r)
	for number := 1; scanner.Scan(); number++ {
		select {
		case lines <- numbered{number, []byte(scanner.Text())}:
		case <-ctx.Done():
			return errors.New("interrupted; run it again to go on")
		}
	}
	return scanner.Err()
}

// apply makes the change of a line. Its error is safe to print: it holds no ID and no value.
func apply(ctx context.Context, c *client.Client, text []byte) error {
	var l line
	if json.Unmarshal(text, &l) != nil { // whose error may quote a value
		return errors.New("not a change in the form of this command's documentation")
	}
	_, err := c.UpdateProvider(ctx, l.CustomerID, l.ProviderID, l.Set)
	if invalid, ok := errors.AsType[*client.Error](err); ok && errors.Is(err, client.ErrValidation) {
		return fmt.Errorf("the API rejects the change: %w", invalid)
	}
	return err
}
