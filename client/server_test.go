package client_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

// program builds the server, once for all tests, and returns where it is.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs, "server")
	build := exec.Command("go", "build", "-o", path, "../server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does, and other tests
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build ../server: %w\n%s", err, out)
	}
	return path, nil
})

var programs string // the directory of what tests build

// testedAPI is an API in which the rules of the contract are tested.
type testedAPI struct {
	client    func(options ...client.Option) *client.Client
	newRecord func() (client.CustomerID, client.ProviderID) // with a city
}

// testAPI has what the server and package clienttest have in common.
func testAPI(t *testing.T, api testedAPI) {
	c, ctx := api.client(), t.Context()
	t.Run("three states", func(t *testing.T) {
		customer, id := api.newRecord()
		read, err := c.GetProvider(ctx, customer, id)
		if err != nil || *read.City != "Old Town" || read.ProviderType != client.ProviderTypeHospital || read.Phone != nil || read.ETag != `"1"` {
			t.Fatalf("read: %+v, %v", read, err)
		}
		if _, err := uuid.Parse(read.RequestID); err != nil {
			t.Errorf("the request is called %q", read.RequestID)
		}
		changed, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{Phone: client.Set("+1 555 0100"), City: client.Clear[string](), IsActive: client.Set(true)})
		if err != nil || *changed.Phone != "+1 555 0100" || changed.City != nil || !*changed.IsActive || changed.ETag != `"2"` {
			t.Fatalf("changed: %+v, %v", changed, err)
		}
		created, ok1 := changed.CreatedTime()
		updated, ok2 := changed.UpdatedTime()
		if !ok1 || !ok2 || updated.Before(created) || time.Since(updated) > time.Hour || updated.Format("2006-01-02T15:04:05.000Z") != *changed.UpdatedAt {
			t.Errorf("created %v, updated %v, in text %s", created, updated, *changed.UpdatedAt)
		}
		again, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{Phone: client.Set("+1 555 0100")})
		if err != nil || again.ETag != changed.ETag || *again.UpdatedAt != *changed.UpdatedAt {
			t.Errorf("sent again: %+v, %v", again, err)
		}
	})
	t.Run("with a condition", func(t *testing.T) {
		customer, id := api.newRecord()
		if _, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set("New Town")}, client.IfMatch(`"1"`)); err != nil {
			t.Fatal(err)
		}
		_, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set("Third Town")}, client.IfMatch(`"1"`))
		wantKinds(t, err, client.ErrPreconditionFailed)
	})
	t.Run("the life of a record", func(t *testing.T) {
		customer, _ := api.newRecord()
		made, err := c.CreateProvider(ctx, customer, client.ProviderCreate{ProviderType: client.ProviderTypePharmacy, City: new("Old Town"), IsActive: new(true)})
		if err != nil || *made.City != "Old Town" || !*made.IsActive || made.Phone != nil || made.ETag != `"1"` {
			t.Fatalf("made: %+v, %v", made, err)
		}
		changed, err := c.ModifyProvider(ctx, customer, made.ID, func(current *client.Record) (client.ProviderUpdate, error) {
			return client.ProviderUpdate{City: client.Set("New " + *current.City), IsActive: client.Clear[bool]()}, nil
		})
		if err != nil || *changed.City != "New Old Town" || changed.ETag != `"2"` {
			t.Fatalf("changed: %+v, %v", changed, err)
		}
		var entries []*client.HistoryEntry
		for entry, err := range c.ProviderHistory(ctx, customer, made.ID) {
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entry)
		}
		if len(entries) != 2 || entries[0].Version != 2 || *entries[0].RequestID != changed.RequestID || entries[0].Action != client.HistoryActionUpdated ||
			entries[1].Version != 1 || *entries[1].RequestID != made.RequestID || entries[1].Action != client.HistoryActionCreated {
			t.Fatalf("history: %+v", entries)
		}
		if want := []client.PropertyChange{{Field: "city", From: "Old Town", To: "New Old Town"}, {Field: "isActive", From: true}}; !slices.Equal(entries[0].Changes, want) {
			t.Errorf("changes %+v, want %+v", entries[0].Changes, want)
		}
		updated, _ := changed.UpdatedTime()
		if at, ok := entries[0].Time(); !ok || at != updated {
			t.Errorf("changed at %v, says the history; at %v, says the record", at, updated)
		}
		wantKinds(t, c.DeleteProvider(ctx, customer, made.ID, client.IfMatch(made.ETag)), client.ErrPreconditionFailed)
		if err := c.DeleteProvider(ctx, customer, made.ID, client.IfMatch(changed.ETag)); err != nil {
			t.Fatal(err)
		}
		wantKinds(t, c.DeleteProvider(ctx, customer, made.ID, client.IfMatch(changed.ETag)), client.ErrNotFound)
		_, err = c.GetProvider(ctx, customer, made.ID)
		wantKinds(t, err, client.ErrNotFound)
		wantKinds(t, lastOf(c.ProviderHistory(ctx, customer, made.ID)), client.ErrNotFound)
	})
	t.Run("pages", func(t *testing.T) {
		customer, first := api.newRecord()
		oldest, err := c.GetProvider(ctx, customer, first)
		if err != nil {
			t.Fatal(err)
		}
		records := []*client.Record{oldest}
		for n := range 4 {
			made, err := c.CreateProvider(ctx, customer, client.ProviderCreate{ProviderType: client.ProviderTypeSpecialist, IsActive: new(n%2 == 0)})
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, made)
		}
		slices.SortFunc(records, func(a, b *client.Record) int { // the newest first; of those of one millisecond, by ID
			return -cmp.Or(strings.Compare(*a.CreatedAt, *b.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
		})
		var want, active []client.ProviderID
		for _, record := range records {
			want = append(want, record.ID)
			if record.IsActive != nil && *record.IsActive {
				active = append(active, record.ID)
			}
		}
		for _, test := range []struct {
			filter client.ProviderFilter
			want   []client.ProviderID
		}{
			{client.ProviderFilter{PageSize: 2}, want},
			{client.ProviderFilter{}, want},
			{client.ProviderFilter{PageSize: 1, IsActive: new(true)}, active},
			{client.ProviderFilter{ProviderType: new(client.ProviderTypeHospital)}, []client.ProviderID{first}},
			{client.ProviderFilter{ProviderType: new(client.ProviderTypePharmacy)}, nil},
		} {
			var got []client.ProviderID
			for provider, err := range c.Providers(ctx, customer, test.filter) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, provider.ID)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%+v: got %v, want %v", test.filter, got, test.want)
			}
		}
		wantKinds(t, lastOf(c.Providers(ctx, customer, client.ProviderFilter{PageSize: 101})), client.ErrValidation)
	})
	t.Run("many that modify at once", func(t *testing.T) {
		customer, id := api.newRecord()
		c := api.client(client.WithRetries(client.DefaultAttempts, time.Hour), newClock().option()) // waits take no real time, and together less than an hour
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				_, err := c.ModifyProvider(ctx, customer, id, func(current *client.Record) (client.ProviderUpdate, error) {
					return client.ProviderUpdate{City: client.Set(*current.City + "!")}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if record, err := c.GetProvider(ctx, customer, id); err != nil || *record.City != "Old Town!!!!!!!!" {
			t.Errorf("%+v, %v", record, err)
		}
	})
	t.Run("not found", func(t *testing.T) {
		for _, operation := range operations {
			err := operation.call(ctx, c)
			if err == nil {
				t.Errorf("%s: no error", operation.name)
				continue
			}
			wantKinds(t, err, client.ErrNotFound)
		}
	})
	t.Run("validation", func(t *testing.T) {
		customer, id := api.newRecord()
		_, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{NPI: client.Set(strings.Repeat("private", 10)), ProviderType: new(client.ProviderType("Dentist"))})
		wantKinds(t, err, client.ErrValidation)
		got := asError(t, err)
		if len(got.Fields) != 2 || got.Fields[0].Path[0] != "npi" || got.Fields[1].Path[0] != "providerType" || got.RequestID == "" {
			t.Errorf("%+v", *got)
		}
	})
	t.Run("a condition of a read", func(t *testing.T) {
		customer, id := api.newRecord()
		_, err := c.GetProvider(ctx, customer, id, client.IfNoneMatch(`"1"`))
		wantKinds(t, err, client.ErrNotModified)
		if record, err := c.GetProvider(ctx, customer, id, client.IfNoneMatch(`"2"`)); err != nil || record.ETag != `"1"` {
			t.Errorf("%+v, %v", record, err)
		}
	})
	t.Run("from a list to a change", func(t *testing.T) {
		customer, id := api.newRecord()
		if _, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set("New Town")}); err != nil {
			t.Fatal(err)
		}
		for record, err := range c.Providers(ctx, customer, client.ProviderFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set("Third Town")}, client.IfMatch(record.ETag)); err != nil || changed.ETag != `"3"` {
				t.Errorf("%+v, %v", changed, err)
			}
		}
	})
	t.Run("resumed", func(t *testing.T) {
		customer, id := api.newRecord()
		for n := range 4 {
			if _, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set(fmt.Sprint(n))}); err != nil {
				t.Fatal(err)
			}
		}
		var versions []int64
		for cursor, more := "", true; more; {
			for page, err := range c.ProviderHistoryPages(ctx, customer, id, client.PageSize(2), client.Cursor(cursor)) {
				if err != nil {
					t.Fatal(err)
				}
				for _, entry := range page.Items {
					versions = append(versions, entry.Version)
				}
				cursor, more = page.NextCursor, page.NextCursor != ""
				break
			}
		}
		if !slices.Equal(versions, []int64{5, 4, 3, 2, 1}) {
			t.Errorf("versions %v", versions)
		}
	})
	t.Run("created once", func(t *testing.T) {
		customer, _ := api.newRecord()
		once := client.IdempotencyKey("invoice 7")
		first, err := c.CreateProvider(ctx, customer, creation, once)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.UpdateProvider(ctx, customer, first.ID, client.ProviderUpdate{City: client.Set("New Town")}); err != nil {
			t.Fatal(err)
		}
		again, err := c.CreateProvider(ctx, customer, creation, once)
		if err != nil || again.ID != first.ID || again.City != nil || again.ETag != `"1"` || *again.UpdatedAt != *first.UpdatedAt {
			t.Errorf("again: %+v, %v", again, err)
		}
		other := creation
		other.City = new("Old Town")
		_, err = c.CreateProvider(ctx, customer, other, once)
		if !errors.Is(err, client.ErrIdempotencyKeyReused) {
			t.Errorf("another record: %v", err)
		}
	})
	t.Run("moved", func(t *testing.T) {
		from, id := api.newRecord()
		to, _ := api.newRecord()
		if moved, err := c.UpdateProvider(ctx, from, id, client.ProviderUpdate{CustomerID: &to}); err != nil || moved.CustomerID != to {
			t.Fatalf("%+v, %v", moved, err)
		}
		_, err := c.GetProvider(ctx, from, id)
		wantKinds(t, err, client.ErrNotFound)
		_, err = c.UpdateProvider(ctx, to, id, client.ProviderUpdate{CustomerID: &customerID})
		if wantKinds(t, err, client.ErrValidation); asError(t, err).Fields[0].Code != "unknown_customer" {
			t.Errorf("%v", err)
		}
	})
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	key := s.newKey()
	c, ctx := s.client(key), t.Context()

	testAPI(t, testedAPI{func(options ...client.Option) *client.Client { return s.client(key, options...) }, s.importRecord})
	t.Run("unauthorized", func(t *testing.T) {
		_, err := s.client(apiKey).UpdateProvider(ctx, customerID, providerID, update)
		wantKinds(t, err, client.ErrUnauthorized)
	})
	t.Run("forbidden", func(t *testing.T) {
		reader, writer := s.client(s.newKey("--permission", "providers:read")), s.client(s.newKey("--permission", "providers:write"))
		for _, operation := range operations {
			other := reader
			if operation.method == "GET" {
				other = writer
			}
			err := operation.call(ctx, other)
			if err == nil {
				t.Errorf("%s: no error", operation.name)
				continue
			}
			wantKinds(t, err, client.ErrForbidden)
		}
	})
	t.Run("rate limited, for longer than a call waits", func(t *testing.T) {
		customer, id := s.importRecord()
		const rate = time.Minute // one use
		limited := s.client(s.newKey("--rate-limit", "1"), client.WithRetries(client.DefaultAttempts, time.Second))
		start := time.Now()
		uses, err := 0, error(nil)
		for ; err == nil; uses++ {
			_, err = limited.UpdateProvider(ctx, customer, id, client.ProviderUpdate{})
		}
		if uses--; uses < 1 || uses > 1+int(time.Since(start)/rate) {
			t.Errorf("%d uses were allowed, want the first, and one for each minute of %v", uses, time.Since(start))
		}
		wantKinds(t, err, client.ErrRateLimited)
		if got := asError(t, err); got.RetryAfter < time.Second || got.RetryAfter > rate || got.Attempts != 0 { // the client knows it
			t.Errorf("%+v", *got)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		customer, id := s.importRecord()
		var group sync.WaitGroup
		for n := range 20 {
			group.Go(func() {
				want := fmt.Sprint("Town ", n)
				if record, err := c.UpdateProvider(ctx, customer, id, client.ProviderUpdate{City: client.Set(want)}); err != nil || *record.City != want {
					t.Errorf("%+v, %v", record, err)
				}
			})
		}
		group.Wait()
	})
}

// TestServerThatDies kills the server between two calls. The second one finds nobody, waits, and succeeds once another
// server is there.
func TestServerThatDies(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	customer, id := s.importRecord()
	key := s.newKey()
	current := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(s.url, "http://"))
	}}
	t.Cleanup(current.CloseIdleConnections)
	restart, attempts := false, 0
	c, err := client.New(key, client.WithBaseURL("http://api.example"), client.WithTransport(current), client.WithTimeout(time.Hour), newClock().option(),
		client.WithAttemptHook(func(context.Context, client.Attempt) {
			if attempts++; restart && attempts == 2 {
				s.start()
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	call := func(city string) (*client.Record, error) {
		attempts = 0
		return c.UpdateProvider(t.Context(), customer, id, client.ProviderUpdate{City: client.Set(city)})
	}

	if _, err := call("New Town"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.url = "http://" + refusing(t) // another program may listen on the server's former port
	_, err = call("Third Town")
	if !errors.Is(err, client.ErrUnavailable) || strings.Contains(err.Error(), customer.String()) || attempts != client.DefaultAttempts {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
	restart = true
	record, err := call("Third Town")
	if err != nil || *record.City != "Third Town" || record.ETag != `"3"` || attempts != 3 {
		t.Errorf("after %d attempts: %+v, %v", attempts, record, err)
	}
}
