package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// The demo has a file of its own, so that it never mixes with real records.
const (
	demoDatabase     = "data/demo.db"
	demoOrganization = "demo"
	demoKeyLifetime  = 14 * 24 * time.Hour
)

// demoID is the customer and the provider of the documented example.
var demoID = uuid.MustParse("3c90c3cc-0d44-4b50-8888-8dd25736052a")

// demo makes sure of the example records, makes a key, and prints a command that uses it.
func demo(ctx context.Context, s store, address string, out io.Writer) error {
	organization, err := s.Organization(ctx, demoOrganization)
	if err != nil {
		return err
	}
	if err := demoRecords(ctx, s, organization); err != nil {
		return err
	}
	now := time.Now()
	secret, key, err := apikey.Create(ctx, s, apikey.Key{
		Organization: organization, OrganizationName: demoOrganization, Name: "demo", Permissions: apikey.Permissions(), ExpiresAt: now.Add(demoKeyLifetime),
	}, now)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, demoText, address, demoID, secret, key.ExpiresAt.Format(time.DateOnly))
	return err
}

// demoRecords makes the example provider and a few more, each under a customer of its own; those that are there stay as
// they are, and those that were moved away come back.
func demoRecords(ctx context.Context, s store, organization int64) error {
	examples := []provider.Import{{ID: demoID, Patch: example(demoID, provider.PrimaryCare, "Dr. Ada Example", "Example Family Practice")}}
	for i, more := range []struct {
		kind           provider.Type
		name, practice string
	}{
		{provider.Specialist, "Dr. Ben Sample", "Sample Cardiology"},
		{provider.Hospital, "Example General Hospital", "Department of Surgery"},
		{provider.Pharmacy, "Corner Pharmacy", "Corner Pharmacy"},
	} {
		id := uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1))
		examples = append(examples, provider.Import{ID: id, Patch: example(id, more.kind, more.name, more.practice)})
	}
	for _, one := range examples {
		_, err := s.Write(ctx, provider.Write{Action: provider.Updated, Organization: organization, CustomerID: one.Patch.CustomerID.Value, ID: one.ID})
		var refused *provider.Error
		if errors.As(err, &refused) && refused.Code == provider.NotFound {
			err = s.Import(ctx, organization, []provider.Import{one}, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func example(customer uuid.UUID, kind provider.Type, name, practice string) provider.Patch {
	text := func(s string) provider.Field[*string] { return provider.Field[*string]{Set: true, Value: &s} }
	return provider.Patch{
		CustomerID:   provider.Field[uuid.UUID]{Set: true, Value: customer},
		Type:         provider.Field[provider.Type]{Set: true, Value: kind},
		ProviderName: text(name),
		PracticeName: text(practice),
		Phone:        text("+1 555 0100"),
		City:         text("Springfield"),
		IsActive:     provider.Field[*bool]{Set: true, Value: new(true)},
	}
}

// demoText is filled with the address, the ID, the key and its last day. The body is the documented example.
var demoText = strings.TrimLeft(`
The demo is served at http://%[1]s; its documentation at http://%[1]s/docs.
Its key works until %[4]s. Paste this to update a provider:

curl --request PATCH \
  --url http://%[1]s/v2/customers/%[2]s/providers/%[2]s \
  --header 'Content-Type: application/json' \
  --header 'x-api-key: %[3]s' \
  --data '
{
  "customerId": "%[2]s",
  "providerType": "Primary Care",
  "specialty": "<string>",
  "providerName": "<string>",
  "practiceName": "<string>",
  "npi": "<string>",
  "phone": "<string>",
  "fax": "<string>",
  "email": "<string>",
  "address": "<string>",
  "address2": "<string>",
  "city": "<string>",
  "state": "<string>",
  "postalCode": "<string>",
  "isPrimaryProvider": true,
  "isActive": true,
  "notes": "<string>"
}
'

Ctrl-C stops it.
`, "\n")
