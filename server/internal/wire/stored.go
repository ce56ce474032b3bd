package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// StoredEvent has the columns of an event that the stores keep in a form of their own. They are texts, which a person can read.
//
// The changes are an array. A number says which property the next value belongs to, and the values after that belong to the properties with
// the next numbers. A value is the new one alone if there was none before, ["from"] if there is none any more, and ["from","to"] otherwise.
// So the first event of a record is [1,"the customer","the type",…]. The action is its first letter. A request ID that is a UUID is its bytes
// in base64.
//
// Without numbers, the changes are an object with a member for each property, ["from","to"] or the new value alone, and the action and
// the request ID are as they are. Earlier versions stored this, or the list that AppendChanges writes; all of them can be read.
type StoredEvent struct {
	Action, RequestID string
	Changes           []byte
}

// Numbers are those of the properties in a database, for its events. A property keeps its number, even if the contract loses the property.
// The zero value has none.
type Numbers struct {
	names  []string // names[0] has number 1
	byName map[string]int
}

// Add adds the property with the next number. It fails for another number.
func (n *Numbers) Add(number int64, name string) error {
	if number != int64(len(n.names))+1 {
		return fmt.Errorf("the number %d of a property is missing", len(n.names)+1)
	}
	if n.byName == nil {
		n.byName = map[string]int{}
	}
	n.names = append(n.names, name)
	n.byName[name] = len(n.names)
	return nil
}

// None reports whether no property has a number.
func (n *Numbers) None() bool { return len(n.names) == 0 }

// Missing returns the properties of the contract that have no number, in the order in which they get one.
func (n *Numbers) Missing() (names []string) {
	for _, name := range provider.ChangedProperties() {
		if n.byName[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// Store returns the columns of an event. Its changes are appended to b. It fails for text that is not valid UTF-8.
func (n *Numbers) Store(b []byte, e *provider.Event) (stored StoredEvent, err error) {
	numbered := false
	if !n.None() {
		stored.Changes, numbered, err = n.appendNumbered(b, e.Changes)
	}
	if numbered {
		stored.Action, stored.RequestID = string(e.Action[:1]), shortID(e.By.RequestID)
		return stored, err
	}
	stored.Action, stored.RequestID = string(e.Action), e.By.RequestID
	stored.Changes, err = appendNamed(b, e.Changes)
	return stored, err
}

var actions = map[string]provider.Action{"c": provider.Created, "u": provider.Updated, "d": provider.Deleted}

// Parse sets what Store has made of an event: its action, its request ID and its changes. If it fails, the event has no changes. Its errors
// hold nothing of the event.
func (n *Numbers) Parse(stored StoredEvent, e *provider.Event) (err error) {
	action, short := actions[stored.Action]
	if short {
		e.Action, e.By.RequestID = action, longID(stored.RequestID)
	} else {
		e.Action, e.By.RequestID = provider.Action(stored.Action), stored.RequestID
	}
	e.Changes, err = n.parseChanges(stored.Changes)
	return err
}

// A short ID is the 16 bytes of a UUID. Another ID that looks like one is escaped: it has a prefix.
var shortIDs = base64.RawStdEncoding.Strict()

const (
	uuidLen    = 36 // in its canonical form
	shortIDLen = 22
	escape     = "="
)

func shortID(id string) string {
	if parsed, err := uuid.Parse(id); err == nil && len(id) == uuidLen && !strings.ContainsAny(id, "ABCDEF") {
		var short [shortIDLen]byte
		shortIDs.Encode(short[:], parsed[:])
		return string(short[:])
	}
	if len(id) == shortIDLen || strings.HasPrefix(id, escape) {
		return escape + id
	}
	return id
}

func longID(stored string) string {
	if rest, escaped := strings.CutPrefix(stored, escape); escaped {
		return rest
	}
	if len(stored) != shortIDLen {
		return stored
	}
	var id uuid.UUID
	if _, err := shortIDs.Decode(id[:], []byte(stored)); err != nil {
		return stored
	}
	return id.String()
}

// appendNumbered returns false if a property has no number.
func (n *Numbers) appendNumbered(b []byte, changes []provider.Change) (_ []byte, numbered bool, err error) {
	b = append(b, '[')
	next := 1
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		number := n.numberOf(changes[i].Field, next)
		if number == 0 {
			return b, false, nil
		}
		if i == 0 || number != next {
			b = strconv.AppendInt(b, int64(number), 10)
			b = append(b, ',')
		}
		next = number + 1
		if b, err = appendChange(b, &changes[i], ""); err != nil {
			return b, true, err
		}
	}
	return append(b, ']'), true, nil
}

// numberOf returns the number of a property, 0 if it has none. It probably is the next one.
func (n *Numbers) numberOf(name string, next int) int {
	if next <= len(n.names) && n.names[next-1] == name {
		return next
	}
	return n.byName[name]
}

func appendNamed(b []byte, changes []provider.Change) (_ []byte, err error) {
	b = append(b, '{')
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, changes[i].Field...) // a name of the contract, with nothing to escape
		b = append(b, `":`...)
		if b, err = appendChange(b, &changes[i], ",null"); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendChange appends the new value, or an array of both if there was one before. cleared is what follows the old one if there is no new one.
func appendChange(b []byte, change *provider.Change, cleared string) (_ []byte, err error) {
	if change.From.IsNull() && !change.To.IsNull() {
		return appendValue(b, change.To)
	}
	b = append(b, '[')
	if b, err = appendValue(b, change.From); err != nil {
		return b, err
	}
	if change.To.IsNull() {
		b = append(b, cleared...)
	} else {
		b = append(b, ',')
		if b, err = appendValue(b, change.To); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

var (
	errNoChanges = errors.New("the history has a text that is not a set of changes")
	errNoValue   = errors.New("the history has a change whose value is neither text, nor a boolean, nor null")
)

// ErrUnknownNumber means that an event has a number that a property got after the Numbers were read.
var ErrUnknownNumber = errors.New("the history has a number that no property has")

// parseChanges reads changes in any of their forms, also of properties that the contract no longer has. Its errors hold nothing of the text:
// those of the decoder would quote it.
func (n *Numbers) parseChanges(text []byte) ([]provider.Change, error) {
	switch {
	case bytes.HasPrefix(text, []byte("[{")):
		return parseList(text)
	case bytes.HasPrefix(text, []byte("[")):
		return n.parseNumbered(text)
	}
	return parseNamed(text)
}

func (n *Numbers) parseNumbered(text []byte) (changes []provider.Change, _ error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if err := readMark(d, '['); err != nil {
		return nil, err
	}
	for number := int64(0); d.PeekKind() != ']'; number++ {
		if d.PeekKind() == '0' {
			value, err := d.ReadValue()
			if err != nil {
				return nil, errNoChanges
			}
			if number, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return nil, errNoChanges
			}
		}
		name, err := n.name(number)
		if err != nil {
			return nil, err
		}
		change, err := readChange(d, name)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, readMark(d, ']')
}

func (n *Numbers) name(number int64) (string, error) {
	switch {
	case number < 1:
		return "", errNoChanges
	case number > int64(len(n.names)):
		return "", ErrUnknownNumber
	}
	return n.names[number-1], nil
}

func parseNamed(text []byte) (changes []provider.Change, _ error) {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	if err := readMark(d, '{'); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, errNoChanges
		}
		change, err := readChange(d, name.String())
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, readMark(d, '}')
}

// readMark reads the beginning or the end of an array or an object.
func readMark(d *jsontext.Decoder, mark jsontext.Kind) error {
	if token, err := d.ReadToken(); err != nil || token.Kind() != mark {
		return errNoChanges
	}
	return nil
}

// readChange reads what appendChange has written.
func readChange(d *jsontext.Decoder, field string) (provider.Change, error) {
	change := provider.Change{Field: field, From: property.Null, To: property.Null}
	if d.PeekKind() != '[' {
		err := readValue(d, &change.To)
		return change, err
	}
	if err := readMark(d, '['); err != nil {
		return change, err
	}
	err := readValue(d, &change.From)
	if err == nil && d.PeekKind() != ']' {
		err = readValue(d, &change.To)
	}
	if err == nil {
		err = readMark(d, ']')
	}
	return change, err
}

func readValue(d *jsontext.Decoder, value *property.Value) error {
	text, err := d.ReadValue()
	if err != nil {
		return errNoChanges
	}
	found, ok := parseValue(string(text))
	if !ok {
		return errNoValue
	}
	*value = found
	return nil
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
		from, ok := parseValue(string(one.From))
		to, alsoOK := parseValue(string(one.To))
		if !ok || !alsoOK {
			return nil, errNoValue
		}
		changes[i] = provider.Change{Field: one.Field, From: from, To: to}
	}
	return changes, nil
}
