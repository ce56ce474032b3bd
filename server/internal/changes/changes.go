// Package changes is the form in which the stores keep what an event of the history changed: a JSON array of
// {"field", "from", "to"}, which a person can read in the database and SQL can search.
//
// It stands between the domain's events and a column of each store. An array is written with every change, inside its
// transaction, so that is done by hand; it is read when somebody asks for a history.
package changes

import (
	"encoding/json"
	"fmt"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json/jsontext"
)

// Append appends the text of a list to b and returns the longer b. It fails for text that is not Unicode.
func Append(b []byte, list []provider.Change) ([]byte, error) {
	b = append(b, '[')
	var err error
	for i, change := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"field":"`...)
		b = append(b, change.Field...) // a name of the contract's, with nothing to escape
		b = append(b, `","from":`...)
		if b, err = appendValue(b, change.From); err != nil {
			return b, err
		}
		b = append(b, `,"to":`...)
		if b, err = appendValue(b, change.To); err != nil {
			return b, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return fmt.Append(b, v), nil
	case string:
		return jsontext.AppendQuote(b, v)
	}
	return b, fmt.Errorf("changes: %T is no value of a property", value)
}

// Parse reads what Append wrote. Its errors hold nothing of the text.
func Parse(text []byte) ([]provider.Change, error) {
	var list []struct {
		Field    string
		From, To any
	}
	if json.Unmarshal(text, &list) != nil { // the cause quotes the text
		return nil, fmt.Errorf("changes: the text is not a list of changes")
	}
	changes := make([]provider.Change, len(list))
	for i, one := range list {
		changes[i] = provider.Change(one)
	}
	return changes, nil
}
