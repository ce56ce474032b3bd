package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	providerapi "github.com/carecycle/provider-api"
	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func schemas(t *testing.T) openapi3.Schemas {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(providerapi.Contract)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas
}

// Every property of a body of the contract reaches a record and its history, and comes out again.
func TestContractReachesTheDomain(t *testing.T) {
	for _, schema := range []string{"ProviderUpdate", "ProviderCreate"} {
		for name, p := range schemas(t)[schema].Value.Properties {
			before := provider.Provider{Values: property.Nulls()}
			after, changes := changed(t, before, name, sample(p.Value))
			if got := show(t, after)[name]; got != sample(p.Value) {
				t.Errorf("%s.%s: set to %v, the record shows %v", schema, name, sample(p.Value), got)
			}
			if len(changes) != 1 || changes[0].Field != name {
				t.Errorf("%s.%s: the history shows %+v", schema, name, changes)
			}
			if !p.Value.Nullable {
				continue
			}
			after, changes = changed(t, after, name, nil)
			if got, shown := show(t, after)[name]; !shown || got != nil {
				t.Errorf("%s.%s: cleared, the record shows %v", schema, name, got)
			}
			if len(changes) != 1 || !changes[0].To.IsNull() {
				t.Errorf("%s.%s: cleared, the history shows %+v", schema, name, changes)
			}
		}
	}
}

// A value of another kind is rejected, whatever let it pass.
func TestSet(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       bool
	}{
		{"city", `"x"`, true}, {"city", `""`, true}, {"city", `null`, true}, {"city", `true`, false}, {"city", `1`, false}, {"city", `[]`, false},
		{"isActive", `true`, true}, {"isActive", `null`, true}, {"isActive", `"true"`, false},
		{"providerType", `"Hospital"`, true}, {"providerType", `null`, false},
		{"customerId", `"3c90c3cc-0d44-4b50-8888-8dd25736052a"`, true}, {"customerId", `"\u0033c90c3cc-0d44-4b50-8888-8dd25736052a"`, true},
		{"customerId", `null`, false}, {"customerId", `"x"`, false},
		{"postal_code", `"x"`, false}, {"id", `"x"`, false},
	} {
		if got := wire.Set(new(property.Patch), test.name, test.text); got != test.want {
			t.Errorf("%s: %s: got %t, want %t", test.name, test.text, got, test.want)
		}
	}
}

func sample(schema *openapi3.Schema) any {
	switch {
	case schema.Type.Is("boolean"):
		return true
	case schema.Format == "uuid":
		return "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	case schema.Enum != nil:
		return schema.Enum[0]
	}
	return "text"
}

func changed(t *testing.T, r provider.Provider, name string, value any) (provider.Provider, []provider.Change) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var patch property.Patch
	if !wire.Set(&patch, name, string(text)) {
		t.Fatalf("%s cannot be set to %s", name, text)
	}
	return r.With(&patch)
}

func show(t *testing.T, r provider.Provider) map[string]any {
	t.Helper()
	text, err := wire.AppendProvider(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	return shown
}

// Whatever is written has the properties that the contract requires of it, in that order: the documented page's.
func TestOrder(t *testing.T) {
	event := provider.Event{Action: provider.Created, Changes: []provider.Change{{Field: "city", From: property.Null, To: property.Text("x")}}}
	record := provider.Provider{Values: property.Nulls()}
	for name, text := range map[string][]byte{
		"Provider":       must(wire.AppendProvider(nil, &record)),
		"ProviderList":   must(wire.AppendProviderList(nil, []provider.Provider{record}, "x")),
		"HistoryList":    must(wire.AppendHistoryList(nil, []provider.Event{event}, "")),
		"HistoryEntry":   must(wire.AppendHistoryEntry(nil, &event)),
		"PropertyChange": bytes.Trim(must(wire.AppendChanges(nil, event.Changes)), "[]"),
	} {
		if diff := cmp.Diff(schemas(t)[name].Value.Required, keys(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// keys returns the names of an object, in their order.
func keys(t *testing.T, text []byte) (names []string) {
	t.Helper()
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.ReadToken(); err != nil {
		t.Fatal(err)
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.String())
		if err := decoder.SkipValue(); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

var anyValue = rapid.Custom(func(r *rapid.T) property.Value {
	switch rapid.IntRange(0, 3).Draw(r, "kind") {
	case 0:
		return property.Null
	case 1:
		return property.Boolean(rapid.Bool().Draw(r, "boolean"))
	}
	return property.Text(strings.ToValidUTF8(rapid.String().Draw(r, "text"), ""))
})

// A decoder of the standard library reads what is written by hand.
func TestAppendProvider(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		at := func(name string) time.Time { return time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(r, name)).UTC() }
		id := func(name string) uuid.UUID { return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, name)) }
		record := provider.Provider{ID: id("id"), CustomerID: id("customer"), CreatedAt: at("created"), UpdatedAt: at("updated")}
		want := map[string]any{
			"id": record.ID.String(), "customerId": record.CustomerID.String(),
			"createdAt": record.CreatedAt.Format(wire.TimeFormat), "updatedAt": record.UpdatedAt.Format(wire.TimeFormat),
		}
		for id, p := range property.Table {
			value := anyValue.Draw(r, p.Name)
			record.Values[id] = value
			want[p.Name] = plain(value)
		}
		text, err := wire.AppendProvider(nil, &record)
		var got map[string]any
		if err != nil || json.Unmarshal(text, &got) != nil {
			r.Fatalf("got %s, %v", text, err)
		}
		if !maps.Equal(got, want) {
			r.Errorf("got  %s\nwant %v", text, want)
		}
	})
}

func plain(value property.Value) any {
	if text, ok := value.Text(); ok {
		return text
	}
	if flag, ok := value.Boolean(); ok {
		return flag
	}
	return nil
}

// Changes are read as the API lists them, which the first versions stored.
func TestChangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOf(rapid.Custom(func(r *rapid.T) provider.Change {
			return provider.Change{Field: rapid.StringMatching("[a-zA-Z0-9]+").Draw(r, "field"), From: anyValue.Draw(r, "from"), To: anyValue.Draw(r, "to")}
		})).Draw(r, "list")
		text, err := wire.AppendChanges(nil, list)
		if err != nil || !json.Valid(text) {
			r.Fatalf("%v is written as %s, %v", list, text, err)
		}
		var got provider.Event
		if err := new(wire.Numbers).Parse(wire.StoredEvent{Changes: text}, &got); err != nil || !slices.Equal(got.Changes, list) {
			r.Errorf("%s is read as %v, %v; want %v", text, got.Changes, err, list)
		}
	})
}

func TestChangesForm(t *testing.T) {
	changes := []provider.Change{
		{Field: "city", From: property.Null, To: property.Text("Zürich <1>\n")}, {Field: "isActive", From: property.Boolean(true), To: property.Boolean(false)},
		{Field: "notes", From: property.Text("a"), To: property.Null},
	}
	for _, c := range []struct {
		write func([]byte, []provider.Change) ([]byte, error)
		want  string
	}{
		{wire.AppendChanges, `so far: [{"field":"city","from":null,"to":"Zürich <1>\n"},{"field":"isActive","from":true,"to":false},{"field":"notes","from":"a","to":null}]`},
		{storedBy(new(wire.Numbers)), `so far: {"city":"Zürich <1>\n","isActive":[true,false],"notes":["a",null]}`},
		{storedBy(numbersOf("notes", "email", "city", "isActive")), `so far: [3,"Zürich <1>\n",[true,false],1,["a"]]`},
		{storedBy(numbersOf("notes", "city")), `so far: {"city":"Zürich <1>\n","isActive":[true,false],"notes":["a",null]}`},
	} {
		if text, err := c.write([]byte("so far: "), changes); err != nil || string(text) != c.want {
			t.Errorf("got %s, %v; want %s", text, err, c.want)
		}
	}
}

// storedBy returns a function that appends the changes of an event as they are stored.
func storedBy(n *wire.Numbers) func([]byte, []provider.Change) ([]byte, error) {
	return func(b []byte, changes []provider.Change) ([]byte, error) {
		stored, err := n.Store(b, &provider.Event{Action: provider.Updated, Changes: changes})
		return stored.Changes, err
	}
}

func numbersOf(names ...string) *wire.Numbers {
	n := new(wire.Numbers)
	for i, name := range names {
		if err := n.Add(int64(i)+1, name); err != nil {
			panic(err)
		}
	}
	return n
}

// An event is read as it was stored: with numbers or without them, whatever its values and its request ID are, and also after other properties
// were numbered.
func TestStoredEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringMatching("[a-zA-Z][a-zA-Z0-9]*"), rapid.ID[string]).Draw(r, "names")
		numbers := numbersOf(names...)
		e := provider.Event{
			Action: rapid.SampledFrom([]provider.Action{provider.Created, provider.Updated, provider.Deleted}).Draw(r, "action"),
			By:     provider.Actor{RequestID: anyRequestID.Draw(r, "request")},
		}
		anyName := rapid.StringMatching("[a-zA-Z0-9]+")
		if len(names) > 0 && rapid.Bool().Draw(r, "numbered") {
			anyName = rapid.SampledFrom(names)
		}
		e.Changes = rapid.SliceOf(rapid.Custom(func(r *rapid.T) provider.Change {
			return provider.Change{Field: anyName.Draw(r, "field"), From: anyValue.Draw(r, "from"), To: anyValue.Draw(r, "to")}
		})).Draw(r, "changes")
		stored, err := numbers.Store(nil, &e)
		if err != nil || !json.Valid(stored.Changes) {
			r.Fatalf("%v is stored as %s, %v", e, stored.Changes, err)
		}
		if err := numbers.Add(int64(len(names))+1, "a later one"); err != nil {
			r.Fatal(err)
		}
		var got provider.Event
		if err := numbers.Parse(stored, &got); err != nil || got.Action != e.Action || got.By != e.By || !slices.Equal(got.Changes, e.Changes) {
			r.Errorf("%+v with the changes %s is read as %v, %v; want %v", stored, stored.Changes, got, err, e)
		}
	})
}

// FuzzStoredChanges reads any text. What can be read can be stored again, and is then the same.
func FuzzStoredChanges(f *testing.F) {
	for _, text := range []string{`[1,"a",["b"],["c","d"],1,true]`, `{"city":"a","notes":["b",null]}`, `[{"field":"city","from":null,"to":false}]`, `[]`, `[2,"\ud800"]`} {
		f.Add([]byte(text))
	}
	n := numbersOf("city", "notes", "isActive")
	f.Fuzz(func(t *testing.T, text []byte) {
		var e, got provider.Event
		if n.Parse(wire.StoredEvent{Action: "u", Changes: text}, &e) != nil {
			return
		}
		stored, err := n.Store(nil, &e)
		if err != nil {
			t.Skip("it has a name or a text that is not valid UTF-8")
		}
		if err := n.Parse(stored, &got); err != nil || !slices.Equal(got.Changes, e.Changes) {
			t.Errorf("%s is read as %v, stored as %s, and read as %v, %v", text, e.Changes, stored.Changes, got.Changes, err)
		}
	})
}

// Request IDs are UUIDs, and whatever else earlier versions took.
var anyRequestID = rapid.OneOf(rapid.StringMatching("|[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|=*[0-9a-zA-Z+/]{22}|[0-9a-f]{32}"), rapid.String())

func TestStoredForm(t *testing.T) {
	const id = "0197c0de-0000-7abc-8def-0123456789ab"
	e := provider.Event{Action: provider.Updated, By: provider.Actor{RequestID: id}}
	for name, c := range map[string]struct {
		numbers         *wire.Numbers
		action, request string
	}{
		"with numbers": {numbersOf("city"), "u", "AZfA3gAAeryN7wEjRWeJqw"}, "without": {new(wire.Numbers), "updated", id},
	} {
		if got, err := c.numbers.Store(nil, &e); err != nil || got.Action != c.action || got.RequestID != c.request {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// A number that another server may have given is not taken for a damage.
func TestUnknownNumber(t *testing.T) {
	for text, want := range map[string]bool{`[2,"a"]`: true, `[1,"a","b"]`: true, `[0,"a"]`: false, `["a"]`: false} {
		err := numbersOf("city").Parse(wire.StoredEvent{Changes: []byte(text)}, new(provider.Event))
		if err == nil || errors.Is(err, wire.ErrUnknownNumber) != want {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// Every property of the contract gets a number, and keeps it.
func TestMissingNumbers(t *testing.T) {
	n := numbersOf("city", "a lost one")
	missing := n.Missing()
	if len(missing) != len(property.Table) || missing[0] != "customerId" || slices.Contains(missing, "city") {
		t.Errorf("got %v", missing)
	}
	for i, name := range missing {
		if err := n.Add(int64(3+i), name); err != nil {
			t.Fatal(err)
		}
	}
	if left := n.Missing(); left != nil {
		t.Errorf("got %v", left)
	}
	if n.Add(99, "x") == nil {
		t.Error("a number was left out")
	}
}

func TestErrorsHoldNoValue(t *testing.T) {
	secret := []provider.Change{{Field: "city", To: property.Text("secret\xff")}}
	_, badText := wire.AppendChanges(nil, secret)
	_, badStored := storedBy(new(wire.Numbers))(nil, secret)
	_, badNumbered := storedBy(numbersOf("city"))(nil, secret)
	errs := []error{badText, badStored, badNumbered}
	for _, text := range []string{
		`[{"field": 4711, "from": "secret"}]`, `[{"field": "secret", "from": 4711, "to": null}]`,
		`{"secret":4711}`, `{"secret":["secret","secret","secret"]}`, `{"secret":[]}`, `{"secret":["a",4711]}`, `{"secret":{}}`, `{"secret"`, `"secret"`, `secret`, ``,
		`[4711,"secret"]`, `[1,4711]`, `[1,4711,"secret"]`, `[1,["secret",4711]]`, `[1,"a","secret"]`, `[0,"secret"]`, `[-4711,"secret"]`, `[1.5,"secret"]`, `[47114711471147114711,"secret"]`,
		`["secret"]`, `[1,[]]`, `[1]`, `[1,["a","b","secret"]]`, `[1,"secret"`, `[1,"secret"}`, `[1,{"secret":4711}]`, `[1,"secret\x"]`, `[1 "secret"]`,
	} {
		errs = append(errs, numbersOf("city").Parse(wire.StoredEvent{Changes: []byte(text)}, new(provider.Event)))
	}
	for i, err := range errs {
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4711") {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

// BenchmarkBody takes the members of a body into the domain and applies them, and writes the record that they make.
func BenchmarkBody(b *testing.B) {
	members := map[string]string{"customerId": `"3c90c3cc-0d44-4b50-8888-8dd25736052a"`}
	for _, p := range property.Table {
		members[p.Name] = `"Example Family Practice"`
		if p.Kind == property.BooleanKind {
			members[p.Name] = "true"
		}
	}
	var record provider.Provider
	b.Run("applied", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var patch property.Patch
			for name, value := range members {
				wire.Set(&patch, name, value)
			}
			record, _ = provider.Provider{Values: property.Nulls()}.With(&patch)
		}
	})
	b.Run("written", func(b *testing.B) {
		b.ReportAllocs()
		var text []byte
		for b.Loop() {
			var err error
			if text, err = wire.AppendProvider(text[:0], &record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
