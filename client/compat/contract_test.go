package main

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// verdict is what the check says of a change to the contract.
type verdict string

const (
	breaking  verdict = "breaking"
	allowed   verdict = "allowed" // in a minor version, and in the release note
	invisible verdict = "invisible"
)

// Places in openapi.yaml, as JSON pointers.
const (
	update         = "/paths/~1v2~1customers~1{id}~1providers~1{providerId}/patch"
	list           = "/paths/~1v2~1customers~1{id}~1providers/get"
	phoneOfUpdate  = "/components/schemas/ProviderUpdate/properties/phone"
	phoneOfCreate  = "/components/schemas/ProviderCreate/properties/phone"
	phoneOfRecord  = "/components/schemas/Provider/properties/phone"
	limitParameter = "/components/parameters/Limit/schema"
	history        = "/paths/~1v2~1customers~1{id}~1providers~1{providerId}~1history"
	retryAfter     = "/components/schemas/RateLimitResponse/properties/retryAfter"
	changes        = "/components/schemas/HistoryEntry/properties/changes"
)

// TestVerdicts makes one change to openapi.yaml at a time and states what the check must say of it, and of undoing it.
func TestVerdicts(t *testing.T) {
	text := func(limit int) any { return map[string]any{"type": "string", "maxLength": limit} }
	for _, tt := range []struct {
		name    string
		edits   []edit
		verdict verdict
		back    verdict
	}{
		// Values of properties.
		{"an added provider type", with(add("/components/schemas/ProviderType/enum", "Dentist")), allowed, breaking},
		{"an added value of responses only", with(add("/components/schemas/HistoryAction/enum", "restored")), allowed, allowed},
		{"a raised maxLength", with(set(phoneOfUpdate+"/maxLength", 60), set(phoneOfCreate+"/maxLength", 60), set(phoneOfRecord+"/maxLength", 60)), allowed, breaking},
		{"a request property of another type", with(set(phoneOfUpdate+"/type", "boolean"), remove(phoneOfUpdate+"/maxLength")), breaking, breaking},
		{"a response property of another type", with(set("/components/schemas/HistoryEntry/properties/version/type", "string")), breaking, breaking},
		{"a request property that may be null", with(set("/components/schemas/ProviderUpdate/properties/customerId/nullable", true)), allowed, breaking},
		{"a response property that may be null", with(set("/components/schemas/Provider/properties/customerId/nullable", true)), breaking, allowed},
		{"a default in a body", with(set(phoneOfCreate+"/default", "none")), breaking, breaking},

		// Properties.
		{"a new optional request property", with(set("/components/schemas/ProviderUpdate/properties/web", text(100))), allowed, breaking},
		{"a new required request property", with(set("/components/schemas/ProviderCreate/properties/web", text(100)), add("/components/schemas/ProviderCreate/required", "web")), breaking, breaking},
		{"a request property that becomes required", with(add("/components/schemas/ProviderCreate/required", "npi")), breaking, allowed},
		{"a new response property", with(set("/components/schemas/Provider/properties/web", text(100)), add("/components/schemas/Provider/required", "web")), allowed, breaking},
		{"a new optional response property", with(set("/components/schemas/Provider/properties/web", text(100))), allowed, breaking},
		{"a response property that may be left out", with(drop("/components/schemas/Provider/required", "phone")), breaking, allowed},
		{"a body that accepts unknown properties", with(remove("/components/schemas/ProviderUpdate/additionalProperties")), allowed, breaking},

		// Parameters and headers.
		{"another default of limit", with(set(limitParameter+"/default", 10)), breaking, breaking},
		{"no default of limit", with(remove(limitParameter + "/default")), breaking, breaking},
		{"a raised maximum of limit", with(set(limitParameter+"/maximum", 200)), allowed, breaking},
		{"a longer cursor", with(set("/components/schemas/ProviderCursor/pattern", "^[A-Za-z0-9_-]{44}$")), breaking, breaking},
		{"a cursor of any form", with(remove("/components/schemas/ProviderCursor/pattern")), allowed, breaking},
		{"a path parameter that need not be a UUID", with(remove("/components/parameters/CustomerId/schema/format")), allowed, breaking},
		{"a path parameter of another format", with(set("/components/parameters/CustomerId/schema/format", "date")), breaking, breaking},
		{"a new optional query parameter", with(add(list+"/parameters", parameter("query", "city", false))), allowed, breaking},
		{"a new optional header", with(add(update+"/parameters", parameter("header", "Prefer", false))), allowed, breaking},
		{"a new required header", with(add(update+"/parameters", parameter("header", "Idempotency-Key", true))), breaking, breaking},
		{"a new optional response header", with(set(update+"/responses/200/headers/Age", map[string]any{"schema": map[string]any{"type": "integer"}})), allowed, breaking},
		{"a response without its ETag", with(remove(update + "/responses/200/headers/ETag")), breaking, allowed},

		// Responses.
		{"no documented success", with(remove(update+"/responses/200"), set(update+"/responses/204", response())), breaking, breaking},
		{"another documented success", with(set(update+"/responses/202", response())), breaking, breaking},
		{"no documented error", with(remove(update + "/responses/412")), breaking, allowed},
		{"another documented error", with(set(update+"/responses/409", response())), allowed, breaking},

		// Operations and security.
		{"a new operation", with(set("/paths/~1v2~1providers", map[string]any{"get": operation("listProviders")})), allowed, breaking},
		{"another operationId", with(set(update+"/operationId", "changeCustomerProvider")), breaking, breaking},
		{"another permission", with(set(update+"/x-required-permission", "providers:read")), breaking, breaking},
		{"another tag", with(set(update+"/tags", []any{"Providers"})), breaking, breaking},
		{"a new schema", with(set("/components/schemas/Note", text(100))), invisible, breaking},
		{"a deprecated operation", with(set(update+"/deprecated", true)), allowed, allowed},
		{"another header for the key", with(set("/components/securitySchemes/ApiKeyAuth/name", "authorization")), breaking, breaking},
		{"another kind of key", with(set("/components/securitySchemes/ApiKeyAuth", map[string]any{"type": "http", "scheme": "bearer"})), breaking, breaking},
		{"a second key", with(set("/components/securitySchemes/Other", map[string]any{"type": "http", "scheme": "basic"}), set("/security/0/Other", []any{})), breaking, breaking},
		{"another server", with(set("/servers/0/url", "https://api.example.com")), breaking, breaking},

		// Words.
		{"another description", with(set(phoneOfUpdate+"/description", "A number to call.")), invisible, invisible},
		{"another version of the document", with(set("/info/version", "2.1.0")), invisible, invisible},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			before, after := contract(t), contract(t, tt.edits...)
			expect(t, before, after, tt.verdict)
			expect(t, after, before, tt.back)
		})
	}
}

// TestVerdictsOnOtherContracts has changes to what openapi.yaml does not have today, such as a deprecated operation.
func TestVerdictsOnOtherContracts(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after []edit
		verdict       verdict
	}{
		{"a raised maximum of a response", with(set(retryAfter+"/maximum", 60)), with(set(retryAfter+"/maximum", 90)), allowed},
		{"a lowered maximum of a response", with(set(retryAfter+"/maximum", 90)), with(set(retryAfter+"/maximum", 60)), allowed},
		{"a longer list", with(set(changes+"/maxItems", 20)), with(set(changes+"/maxItems", 30)), allowed},
		{"another default in a body", with(set(phoneOfCreate+"/default", "a")), with(set(phoneOfCreate+"/default", "b")), breaking},
		{"another pattern in a body", with(set(phoneOfCreate+"/pattern", "a")), with(set(phoneOfCreate+"/pattern", "b")), breaking},
		{"another pattern in a response", with(set(phoneOfRecord+"/pattern", "a")), with(set(phoneOfRecord+"/pattern", "b")), breaking},

		{"a path's parameter in its operations", nil, inPath("format", "uuid"), invisible},
		{"another parameter of a path", inPath("format", "uuid"), inPath("format", "date"), breaking},

		{"a deprecated operation that is gone", deprecated(update), with(remove(update)), breaking},
		{"a deprecated path that is gone", deprecated(history + "/get"), with(remove(history)), breaking},
		{"a deprecated parameter that is gone", deprecated("/components/parameters/IsActiveFilter"), with(drop(list+"/parameters", reference("#/components/parameters/IsActiveFilter"))), breaking},
		{"a deprecated request property that is gone", deprecated(phoneOfUpdate), with(remove(phoneOfUpdate)), breaking},
		{"a deprecated response property that is gone", deprecated(phoneOfRecord), with(remove(phoneOfRecord), drop("/components/schemas/Provider/required", "phone")), breaking},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			expect(t, contract(t, tt.before...), contract(t, tt.after...), tt.verdict)
		})
	}
}

func expect(t *testing.T, before, after []byte, want verdict) {
	t.Helper()
	changes, err := compareContracts(before, after)
	if err != nil {
		t.Fatal(err)
	}
	got := invisible
	for _, c := range changes {
		if got = allowed; c.Breaking {
			got = breaking
			break
		}
	}
	if got != want {
		t.Errorf("got %s, want %s, of:", got, want)
		for _, c := range changes {
			t.Errorf("  %s: %s", c.ID, c)
		}
	}
}

func TestSeveritiesNeedReasons(t *testing.T) {
	const ours = "operation-permission-changed err # a reason\nrequest-additional-properties-refused err # a reason\n" +
		"request-additional-properties-accepted info # a reason\nserver-removed err # a reason\nserver-added info # a reason\n"
	for _, tt := range []struct{ text, want string }{
		{ours + "# a comment\n\nendpoint-added info # a reason\n", ""},
		{ours + "endpoint-added info\n", "line 6 gives no reason; write one after #"},
		{ours + "endpoint-adopted info # a reason\n", `line 6: invalid rule id "endpoint-adopted" on line 1`},
		{ours + "endpoint-added fine # a reason\n", `line 6: invalid level "fine" on line 1`},
		{strings.Replace(ours, "server-added info # a reason\n", "", 1), "there is no level for server-added"},
	} {
		got := ""
		if _, _, err := parseSeverities(tt.text); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("of %q got %q, want %q", strings.TrimPrefix(tt.text, ours), got, tt.want)
		}
	}
}

// contract returns openapi.yaml with some edits, as JSON, which is YAML as well.
func contract(t *testing.T, edits ...edit) []byte {
	t.Helper()
	text, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		e(t, document)
	}
	text, err = json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// edit changes what is at a JSON pointer. All above it must be there.
type edit func(t *testing.T, document map[string]any)

func with(edits ...edit) []edit { return edits }

func set(pointer string, value any) edit {
	return func(t *testing.T, document map[string]any) {
		t.Helper()
		parent, key := find(t, document, pointer)
		parent[key] = value
	}
}

func remove(pointer string) edit {
	return func(t *testing.T, document map[string]any) {
		t.Helper()
		parent, key := find(t, document, pointer)
		if parent[key] == nil {
			t.Fatalf("openapi.yaml has nothing at %s", pointer)
		}
		delete(parent, key)
	}
}

// add appends an element to a list.
func add(pointer string, element any) edit {
	return func(t *testing.T, document map[string]any) {
		t.Helper()
		parent, key := find(t, document, pointer)
		elements, ok := parent[key].([]any)
		if !ok {
			t.Fatalf("openapi.yaml has no list at %s", pointer)
		}
		parent[key] = append(elements, element)
	}
}

// drop takes an element out of a list.
func drop(pointer string, element any) edit {
	return func(t *testing.T, document map[string]any) {
		t.Helper()
		parent, key := find(t, document, pointer)
		elements, _ := parent[key].([]any)
		i := slices.IndexFunc(elements, func(e any) bool { return reflect.DeepEqual(e, element) })
		if i < 0 {
			t.Fatalf("openapi.yaml has no %v at %s", element, pointer)
		}
		parent[key] = slices.Delete(elements, i, i+1)
	}
}

// find returns the object that holds what is at a pointer, and its key there.
func find(t *testing.T, document map[string]any, pointer string) (parent map[string]any, key string) {
	t.Helper()
	tokens := strings.Split(pointer, "/")[1:]
	for i, token := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	last := len(tokens) - 1
	var at any = document
	for _, token := range tokens[:last] {
		switch node := at.(type) {
		case map[string]any:
			at = node[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(node) {
				t.Fatalf("openapi.yaml has nothing at %s", pointer)
			}
			at = node[i]
		}
	}
	parent, ok := at.(map[string]any)
	if !ok {
		t.Fatalf("openapi.yaml has nothing above %s", pointer)
	}
	return parent, tokens[last]
}

func parameter(in, name string, required bool) any {
	return map[string]any{"in": in, "name": name, "required": required, "schema": map[string]any{"type": "string"}}
}

func reference(to string) any {
	return map[string]any{"$ref": to}
}

// inPath writes the ID of the customer as a parameter of the path of the list, instead of its operations.
func inPath(keyword string, value any) []edit {
	id := map[string]any{"name": "id", "in": "path", "required": true, "schema": map[string]any{"type": "string", keyword: value}}
	path, reference := strings.TrimSuffix(list, "/get"), reference("#/components/parameters/CustomerId")
	return with(set(path+"/parameters", []any{id}), drop(path+"/get/parameters", reference), drop(path+"/post/parameters", reference))
}

func deprecated(pointer string) []edit {
	return with(set(pointer+"/deprecated", true))
}

func response() any {
	return map[string]any{"description": "A response."}
}

func operation(id string) any {
	return map[string]any{"operationId": id, "responses": map[string]any{"204": response()}}
}
