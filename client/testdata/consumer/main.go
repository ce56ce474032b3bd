// Command billing updates one provider and counts a customer's, the way a program does that knows nothing but the client's documentation.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/carecycle/provider-api/client"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "billing:", err)
		os.Exit(1)
	}
}

// run takes the API's URL, the customer and the provider from the command line, and the key from CARECYCLE_API_KEY.
func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"),
		client.WithBaseURL(os.Args[1]),
		client.WithUserAgent("billing/1.0"),
		client.WithAttemptHook(func(_ context.Context, a client.Attempt) {
			slog.Info("careCycle", "route", a.Route, "attempt", a.Number, "status", a.StatusCode)
		}),
	)
	if err != nil {
		return err
	}
	customerID, err := client.ParseCustomerID(os.Args[2])
	if err != nil {
		return err
	}
	providerID, err := client.ParseProviderID(os.Args[3])
	if err != nil {
		return err
	}
	record, err := c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{
		ProviderType: new(client.ProviderTypePharmacy),
		Phone:        client.Set("+1 555 0100"),
		Fax:          client.Clear[string](),
	})
	if errors.Is(err, client.ErrNotFound) {
		return errors.New("no such provider")
	}
	if err != nil {
		return err
	}
	created, _ := record.CreatedTime()
	count := 0
	for _, err := range c.Providers(ctx, customerID, client.ProviderFilter{PageSize: 100}) {
		if err != nil {
			return err
		}
		count++
	}
	fmt.Println(*record.ProviderName, created.Year(), record.ETag, count)
	return nil
}
