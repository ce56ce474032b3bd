package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/curl"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json"
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

// demoElsewhere starts the demo on ports that are free.
const demoElsewhere = "serve --demo --addr 127.0.0.1:0 --admin-addr 127.0.0.1:0"

// demo ensures the example records, creates a key, and prints a command that uses it, and a link to the dashboard. The API is at the
// address with the prefix.
func demo(ctx context.Context, s store, address, prefix string, out io.Writer) error {
	url := "http://" + address
	organization, _, err := s.EnsureOrganization(ctx, demoOrganization)
	if err != nil {
		return err
	}
	if err := demoRecords(ctx, s, organization); err != nil {
		return err
	}
	secret, key, err := apikey.Create(ctx, s, apikey.Key{
		Organization: organization, OrganizationName: demoOrganization, Name: "demo", Permissions: apikey.Permissions(),
	}, demoKeyLifetime)
	if err != nil {
		return err
	}
	link, err := demoLink(ctx, s, url)
	if err != nil {
		return err
	}
	body, err := exampleBody()
	if err != nil {
		return err
	}
	update := curl.Command{
		Method: http.MethodPatch, URL: fmt.Sprintf("%s/v2/customers/%s/providers/%[2]s", url+prefix, demoID),
		Headers: []string{"Content-Type: application/json", "x-api-key: " + secret}, Body: "\n" + body + "\n",
	}
	page := fmt.Sprintf("%s/dashboard/organizations/%d/customers/%s/providers/%[3]s", url, organization, demoID)
	_, err = fmt.Fprintf(out, demoText, url+prefix, link+forwarding(address), key.ExpiresAt.Format(time.DateOnly), update, page, demoDatabase)
	return err
}

// demoUser signs in to the dashboard of the demo.
const demoUser = "demo@example.com"

// demoLink returns a link that signs in to the dashboard, once.
func demoLink(ctx context.Context, s store, url string) (string, error) {
	u, err := account.FindByEmail(ctx, s, demoUser)
	if errors.Is(err, account.ErrNotFound) {
		token, _, err := account.Invite(ctx, s, account.User{Email: demoUser, Operator: true})
		return linkURL(url, token), err
	}
	if err != nil {
		return "", err
	}
	token, err := account.NewLink(ctx, s, u.ID)
	return linkURL(url, token), err
}

// demoRecords makes the example provider and a few more, each under a customer of its own; those that are there stay as
// they are, and those that were moved away come back.
func demoRecords(ctx context.Context, s store, organization int64) error {
	examples := []provider.Import{{ID: demoID, Patch: example(demoID, gen.ProviderTypePrimaryCare, "Dr. Ada Example", "Example Family Practice")}}
	for i, more := range []struct {
		kind           gen.ProviderType
		name, practice string
	}{
		{gen.ProviderTypeSpecialist, "Dr. Ben Sample", "Sample Cardiology"},
		{gen.ProviderTypeHospital, "Example General Hospital", "Department of Surgery"},
		{gen.ProviderTypePharmacy, "Corner Pharmacy", "Corner Pharmacy"},
	} {
		id := uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1))
		examples = append(examples, provider.Import{ID: id, Patch: example(id, more.kind, more.name, more.practice)})
	}
	for _, one := range examples {
		_, err := s.Write(ctx, provider.Write{Action: provider.Updated, Organization: organization, CustomerID: *one.Patch.CustomerID, ID: one.ID})
		if provider.CodeOf(err) == provider.CodeNotFound {
			_, err = s.Import(ctx, organization, []provider.Import{one}, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func example(customer uuid.UUID, kind gen.ProviderType, name, practice string) property.Patch {
	return property.Patch{CustomerID: &customer, Values: property.Values{
		property.ProviderType: property.Text(kind),
		property.ProviderName: property.Text(name),
		property.PracticeName: property.Text(practice),
		property.Phone:        property.Text("+1 555 0100"),
		property.City:         property.Text("Springfield"),
		property.IsActive:     property.Boolean(true),
	}}
}

// forwarding says how a browser on another machine reaches the demo, to a person who is here over SSH.
func forwarding(address string) string {
	if os.Getenv("SSH_CONNECTION") == "" {
		return ""
	}
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("\n\nIf your browser is on another machine, run this there first, with the name of this machine as HOST:\n\nssh -N -L %s:%s HOST", port, address)
}

// demoText is filled with the URL, the link, the last day of the key, the command, the page of the provider and the file.
var demoText = strings.TrimLeft(`
The demo is running. To change a provider in the browser, open this link, which works once:

%[2]s

To change a provider with curl, paste this command into another terminal. It sets every property to an example value;
its key works until %[3]s.

%[4]s

The change is then at %[5]s
The reference of the API is at %[1]s/docs

Ctrl-C stops the demo. Its records and keys stay in %[6]s.
`, "\n")

// exampleBody returns the documented example of a change, a property on each line.
func exampleBody() (string, error) {
	doc, err := contract()
	if err != nil {
		return "", err
	}
	operation := doc.Paths.Value("/v2/customers/{id}/providers/{providerId}").Patch
	documented := operation.RequestBody.Value.Content["application/json"].Examples["everything"]
	if documented == nil {
		return "", errors.New("the contract lacks the example of a change")
	}
	example, _ := documented.Value.Value.(map[string]any)
	names := []string{"customerId"}
	for _, p := range property.Table {
		names = append(names, p.Name)
	}
	var lines []string
	for _, name := range names {
		if example[name] == nil {
			continue
		}
		value, err := json.Marshal(example[name])
		if err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintf("  %q: %s", name, value))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}", nil
}
