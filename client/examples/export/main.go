// Command export writes all providers of a customer to a file, one JSON object a line. If it is stopped or loses the connection, running it
// again goes on with the page at which it was: the file FILE.state has the cursor, and how long FILE was then.
//
//	CARECYCLE_API_KEY=cc_… export [--url https://…] CUSTOMER-ID FILE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/carecycle/provider-api/client"
)

// state is how far an export has come.
type state struct {
	Cursor string `json:"cursor"` // of the next page
	Size   int64  `json:"size"`   // of the file before it, in bytes
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("export: ")
	url := flag.String("url", client.DefaultBaseURL, "the API")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: export [--url https://…] CUSTOMER-ID FILE")
	}
	customerID, err := client.ParseCustomerID(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"), client.WithBaseURL(*url), client.WithRetries(10, 10*time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	records, err := export(ctx, c, customerID, flag.Arg(1))
	if err != nil {
		log.Fatalf("after %d records: %v; run it again to go on", records, err)
	}
	log.Printf("%d records", records)
}

// export writes the pages that are missing, and returns how many records they have.
func export(ctx context.Context, c *client.Client, customerID client.CustomerID, path string) (records int, err error) {
	last, err := load(path + ".state")
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := file.Truncate(last.Size); err != nil { // what was written of a page that did not end
		return 0, err
	}
	if _, err := file.Seek(last.Size, 0); err != nil {
		return 0, err
	}
	for page, err := range c.ProviderPages(ctx, customerID, client.ProviderFilter{PageSize: 100, Cursor: last.Cursor}) {
		if err != nil {
			return records, err
		}
		lines := json.NewEncoder(file)
		for _, record := range page.Items {
			if err := lines.Encode(record.Provider); err != nil {
				return records, err
			}
		}
		records += len(page.Items)
		if page.NextCursor == "" {
			break
		}
		if err := save(path+".state", file, page.NextCursor); err != nil {
			return records, err
		}
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return records, err
	}
	if err := os.Remove(path + ".state"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return records, err
	}
	return records, nil
}

func load(path string) (s state, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return state{}, fmt.Errorf("read how far the last export came: %w", err)
	}
	return s, nil
}

// save notes that the file has all pages before the cursor.
func save(path string, file *os.File, cursor string) error {
	size, err := file.Seek(0, 1)
	if err != nil {
		return err
	}
	text, err := json.Marshal(state{cursor, size})
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), os.WriteFile(path+".new", text, 0o600)); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
