// Package wire is the JSON of records and their history: in the API, in a file for import or export, and in the stores'
// column for the changes of an event. Properties are always in the order of the documented page.
//
// It stands between the domain and whatever reads or writes its JSON: the handlers (package api), files (transfer) and the
// stores. It writes values itself, without reflection, because every change writes some of them inside its transaction.
package wire

import (
	"strconv"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// names holds the properties' names as they stand in an object, such as `,"city":`.
var names = func() (names [len(property.Table)]string) {
	for p := range property.Table {
		names[p] = `,"` + property.Table[p].Name + `":`
	}
	return names
}()

// AppendProvider appends a record to b as the contract's Provider. It fails for text that is not valid UTF-8.
func AppendProvider(b []byte, r *provider.Provider) ([]byte, error) {
	b = append(b, `{"id":"`...)
	b = append(b, r.ID.String()...)
	b = append(b, `","createdAt":`...)
	b = appendTime(b, r.CreatedAt)
	b = append(b, `,"updatedAt":`...)
	b = appendTime(b, r.UpdatedAt)
	b = append(b, `,"customerId":"`...)
	b = append(b, r.CustomerID.String()...)
	b = append(b, '"')
	return AppendProperties(b, &r.Values)
}

// AppendProperties appends the properties that have a value, null included, each after a comma, and the end of their object. It fails
// for text that is not valid UTF-8.
func AppendProperties(b []byte, values *property.Values) (_ []byte, err error) {
	for p := range values {
		if values[p].IsAbsent() {
			continue
		}
		b = append(b, names[p]...)
		if b, err = appendValue(b, values[p]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// AppendProviderList appends a page of records to b as the contract's ProviderList. An empty cursor is null.
func AppendProviderList(b []byte, records []provider.Provider, nextCursor string) ([]byte, error) {
	return appendPage(b, records, appendListedProvider, nextCursor)
}

// appendListedProvider appends a record to b with its version, as the contract's ListedProvider.
func appendListedProvider(b []byte, r *provider.Provider) ([]byte, error) {
	b, err := AppendProvider(b, r)
	b = append(b[:len(b)-1], `,"etag":"\"`...)
	b = strconv.AppendInt(b, r.Version, 10)
	return append(b, `\""}`...), err
}

// AppendHistoryList appends a page of events to b as the contract's HistoryList. An empty cursor is null.
func AppendHistoryList(b []byte, events []provider.Event, nextCursor string) ([]byte, error) {
	return appendPage(b, events, AppendHistoryEntry, nextCursor)
}

func appendPage[T any](b []byte, items []T, appendItem func([]byte, *T) ([]byte, error), nextCursor string) (_ []byte, err error) {
	b = append(b, `{"data":[`...)
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendItem(b, &items[i]); err != nil {
			return b, err
		}
	}
	b = append(b, `],"nextCursor":`...)
	b = appendString(b, nextCursor)
	return append(b, '}'), nil
}

// AppendOrganizationEvent appends an event to b as the contract's HistoryEntry, with the name of the organization before it.
func AppendOrganizationEvent(b []byte, e *provider.OrganizationEvent) ([]byte, error) {
	b = append(b, `{"organization":`...)
	b = appendString(b, e.Organization)
	entry := len(b)
	b, err := AppendHistoryEntry(b, &e.Event)
	if err == nil {
		b[entry] = ',' // instead of the entry's own brace
	}
	return b, err
}

// AppendActivityEvent is AppendOrganizationEvent with the IDs of the customer and the provider.
func AppendActivityEvent(b []byte, e *provider.ActivityEvent) ([]byte, error) {
	b = append(b, `{"organization":`...)
	b = appendString(b, e.Organization)
	b = append(b, `,"customerId":"`...)
	b = append(b, e.CustomerID.String()...)
	b = append(b, `","providerId":"`...)
	b = append(b, e.ProviderID.String()...)
	b = append(b, '"')
	entry := len(b)
	b, err := AppendHistoryEntry(b, &e.Event)
	if err == nil {
		b[entry] = ','
	}
	return b, err
}

// AppendHistoryEntry appends an event to b as the contract's HistoryEntry.
func AppendHistoryEntry(b []byte, e *provider.Event) ([]byte, error) {
	b = append(b, `{"version":`...)
	b = strconv.AppendInt(b, e.Version, 10)
	b = append(b, `,"at":`...)
	b = appendTime(b, e.At)
	b = append(b, `,"action":"`...)
	b = append(b, e.Action...)
	b = append(b, `","keyId":`...)
	b = appendString(b, e.By.KeyID)
	b = append(b, `,"requestId":`...)
	b = appendString(b, e.By.RequestID)
	b = append(b, `,"changes":`...)
	b, err := AppendChanges(b, e.Changes)
	return append(b, '}'), err
}

// AppendChanges appends changes to b as the contract's list of PropertyChange. It fails for text that is not valid UTF-8.
func AppendChanges(b []byte, changes []provider.Change) (_ []byte, err error) {
	b = append(b, '[')
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"field":"`...)
		b = append(b, changes[i].Field...) // a name of the contract, with nothing to escape
		b = append(b, `","from":`...)
		if b, err = appendValue(b, changes[i].From); err != nil {
			return b, err
		}
		b = append(b, `,"to":`...)
		if b, err = appendValue(b, changes[i].To); err != nil {
			return b, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, value property.Value) ([]byte, error) {
	if text, ok := value.Text(); ok {
		return jsontext.AppendQuote(b, text)
	}
	if flag, ok := value.Boolean(); ok {
		return strconv.AppendBool(b, flag), nil
	}
	return append(b, "null"...), nil
}

// Set sets the property of that name to the value that a JSON text means. It returns false if a patch has no such
// property, or the text is no value of it. The patch shares the text's memory.
func Set(patch *property.Patch, name, text string) bool {
	if name == "customerId" {
		id, ok := ParseUUID(text)
		patch.CustomerID = &id
		return ok
	}
	p, known := property.ByName(name)
	if !known {
		return false
	}
	value, ok := parseValue(text)
	if _, isBoolean := value.Boolean(); value.IsNull() {
		ok = property.Table[p].Nullable
	} else if isBoolean != (property.Table[p].Kind == property.BooleanKind) {
		ok = false
	}
	patch.Values[p] = value
	return ok
}

// ParseUUID returns the UUID that a JSON text means, and false if it means something else.
func ParseUUID(text string) (uuid.UUID, bool) {
	unquoted, ok := parseString(text)
	id, err := uuid.Parse(unquoted)
	return id, ok && err == nil
}

// parseValue returns the value that a JSON text means: null, a boolean or a string. It returns false for any other. The
// value shares the text's memory.
func parseValue(text string) (property.Value, bool) {
	switch text {
	case "null":
		return property.Null, true
	case "true", "false":
		return property.Boolean(text == "true"), true
	}
	unquoted, ok := parseString(text)
	return property.Text(unquoted), ok
}

// parseString returns what a JSON string says, and false for any other JSON. Most strings have nothing to unescape, and
// then the result shares the text's memory.
func parseString(text string) (string, bool) {
	if len(text) < 2 || text[0] != '"' {
		return "", false
	}
	for i := range len(text) {
		if text[i] == '\\' {
			unquoted, err := jsontext.AppendUnquote(nil, text)
			return string(unquoted), err == nil
		}
	}
	return text[1 : len(text)-1], true
}

// appendString appends a text of this program's own, null if it is empty.
func appendString(b []byte, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	b, _ = jsontext.AppendQuote(b, text) // which fails for invalid UTF-8 only
	return b
}

// TimeFormat is ISO 8601 in UTC with milliseconds, the contract's form of a time.
const TimeFormat = "2006-01-02T15:04:05.000Z"

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, TimeFormat)
	return append(b, '"')
}
