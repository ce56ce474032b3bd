// Command edit changes one provider while a person looks on. It shows the change, asks, and makes it only if nobody else has changed the
// record in the meantime; otherwise it shows the new state and asks again.
//
//	CARECYCLE_API_KEY=cc_… edit [--url https://…] CUSTOMER-ID PROVIDER-ID '{"phone": "+1 555 0100", "fax": null}'
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("edit: ")
	url := flag.String("url", client.DefaultBaseURL, "the API")
	flag.Parse()
	if flag.NArg() != 3 {
		log.Fatal("usage: edit [--url https://…] CUSTOMER-ID PROVIDER-ID CHANGE")
	}
	customerID, err1 := client.ParseCustomerID(flag.Arg(0))
	providerID, err2 := client.ParseProviderID(flag.Arg(1))
	var change client.ProviderUpdate
	if err := errors.Join(err1, err2, json.Unmarshal([]byte(flag.Arg(2)), &change)); err != nil {
		log.Fatal(err)
	}
	// A person waits, so a call gives up soon.
	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"), client.WithBaseURL(*url), client.WithTimeout(5*time.Second), client.WithRetries(3, 10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	if err := edit(context.Background(), c, customerID, providerID, change); err != nil {
		log.Fatal(err)
	}
}

func edit(ctx context.Context, c *client.Client, customerID client.CustomerID, providerID client.ProviderID, change client.ProviderUpdate) error {
	answers := bufio.NewScanner(os.Stdin)
	for {
		current, err := c.GetProvider(ctx, customerID, providerID)
		if errors.Is(err, client.ErrNotFound) {
			return errors.New("the customer has no such provider")
		}
		if err != nil {
			return err
		}
		show("The record:", current.Provider)
		show("The change:", change)
		fmt.Print("Make it? [y/N] ")
		if !answers.Scan() || strings.TrimSpace(answers.Text()) != "y" {
			fmt.Println("Nothing was changed.")
			return answers.Err()
		}
		changed, err := c.UpdateProvider(ctx, customerID, providerID, change, client.IfMatch(current.ETag))
		switch {
		case errors.Is(err, client.ErrPreconditionFailed):
			fmt.Println("Somebody else has changed the record.")
		case errors.Is(err, client.ErrOutcomeUnknown):
			return fmt.Errorf("look at the record to see whether the change was made: %w", err)
		case err != nil:
			return err
		default:
			show("Changed:", client.Diff(current.Provider, changed.Provider))
			return nil
		}
	}
}

func show(title string, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%s\n", title, text)
}
