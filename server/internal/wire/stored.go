package wire

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json/jsontext"
)

// AppendStoredChanges appends changes to b in the form of the stores' column, which a person can read and SQL can search: an object
// with a member for each property, ["from","to"], or the new value alone if there was none before. So the first event of a record is its
// JSON without nulls. It fails for text that is not valid UTF-8.
func AppendStoredChanges(b []byte, changes []provider.Change) (_ []byte, err error) {
	b = append(b, '{')
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, changes[i].Field...) // a name of the contract, with nothing to escape
		b = append(b, `":`...)
		alone := changes[i].From.IsNull() && !changes[i].To.IsNull()
		if !alone {
			b = append(b, '[')
			if b, err = appendValue(b, changes[i].From); err != nil {
				return b, err
			}
			b = append(b, ',')
		}
		if b, err = appendValue(b, changes[i].To); err != nil {
			return b, err
		}
		if !alone {
			b = append(b, ']')
		}
	}
	return append(b, '}'), nil
}

var (
	errNoChanges = errors.New("the history has a text that is not a set of changes")
	errNoValue   = errors.New("the history has a change whose value is neither text, nor a boolean, nor null")
)

// ParseStoredChanges reads what AppendStoredChanges wrote, also of properties that the contract no longer has, and the list that
// AppendChanges writes, which earlier versions stored. Its errors hold nothing of the text.
func ParseStoredChanges(text []byte) (changes []provider.Change, _ error) {
	if bytes.HasPrefix(text, []byte("[")) {
		return parseList(text)
	}
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	if begin, err := d.ReadToken(); err != nil || begin.Kind() != '{' { // a cause would quote the text
		return nil, errNoChanges
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, errNoChanges
		}
		change := provider.Change{Field: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, errNoChanges
		}
		from, to := json.RawMessage("null"), json.RawMessage(value)
		if value.Kind() == '[' {
			var both []json.RawMessage
			if json.Unmarshal(value, &both) != nil || len(both) != 2 {
				return nil, errNoChanges
			}
			from, to = both[0], both[1]
		}
		if change, err = parseChange(change.Field, string(from), string(to)); err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	if end, err := d.ReadToken(); err != nil || end.Kind() != '}' {
		return nil, errNoChanges
	}
	return changes, nil
}

func parseList(text []byte) ([]provider.Change, error) {
	var list []struct {
		Field    string
		From, To json.RawMessage
	}
	if json.Unmarshal(text, &list) != nil {
		return nil, errNoChanges
	}
	changes := make([]provider.Change, len(list))
	for i, one := range list {
		var err error
		if changes[i], err = parseChange(one.Field, string(one.From), string(one.To)); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func parseChange(field, from, to string) (provider.Change, error) {
	before, ok := parseValue(from)
	after, alsoOK := parseValue(to)
	if !ok || !alsoOK {
		return provider.Change{}, errNoValue
	}
	return provider.Change{Field: field, From: before, To: after}, nil
}
