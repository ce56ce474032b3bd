// Package property holds the properties of a provider as openapi.yaml lists them: a generated table that describes them,
// the values that a record has, and a patch of those values. A property is written in the contract and nowhere else: its
// JSON, its columns in both stores and its part in the history come from loops over the table.
//
// It is the lowest package. The request bodies of package gen are its patches; the domain, the stores and their JSON consist of its
// values. It knows neither HTTP nor SQL.
package property

import "github.com/google/uuid"

// ID is the number of a property: its place in Table and in Values. It can change with every version of the contract, so
// what is stored outside the program names a property by its Name.
type ID int

// Description is what the contract says of a property.
type Description struct {
	Name      string   // in JSON
	Kind      Kind     // of its values
	Nullable  bool     // null is allowed
	MaxLength int      // of text, in Unicode code points; 0 where Enum lists the values
	Enum      []string // the values allowed; nil for any text
}

// Kind is a kind of value.
type Kind int

// The kinds of values.
const (
	TextKind Kind = iota
	BooleanKind
)

// ByName returns the property of that name, and false if there is none.
func ByName(name string) (ID, bool) {
	id, found := byName[name]
	return id, found
}

var byName = func() map[string]ID {
	ids := make(map[string]ID, len(Table))
	for id := range Table {
		ids[Table[id].Name] = ID(id)
	}
	return ids
}()

// Value is a property in one of the contract's three states: absent (the zero Value), null, or a text or a boolean.
// Values are comparable with ==.
type Value struct {
	state state
	text  string
}

type state uint8

const (
	absent state = iota
	null
	no
	yes
	text
)

// Null is the value of a property that has none.
var Null = Value{state: null}

// Text returns a text. The empty text is not null.
func Text[T ~string](s T) Value { return Value{text, string(s)} }

// Boolean returns a boolean.
func Boolean[T ~bool](b T) Value {
	if b {
		return Value{state: yes}
	}
	return Value{state: no}
}

// IsAbsent reports whether there is no value, not even null: a patch leaves the property as it is.
func (v Value) IsAbsent() bool { return v.state == absent }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.state == null }

// Text returns the text, and false if the value is not a text.
func (v Value) Text() (string, bool) { return v.text, v.state == text }

// Boolean returns the boolean, and false if the value is not a boolean.
func (v Value) Boolean() (value, ok bool) { return v.state == yes, v.state == yes || v.state == no }

// Values has a value for each property. A record has none that is absent.
type Values [len(Table)]Value

// Nulls returns the values of a record that has none yet.
func Nulls() Values {
	var values Values
	for id := range values {
		values[id] = Null
	}
	return values
}

// Patch is a change of a record: null clears a property, another value replaces it, and an absent one leaves it. The zero
// Patch changes nothing.
type Patch struct {
	CustomerID *uuid.UUID // moves the record to that customer; nil leaves it
	Values     Values
}

// Len returns how many properties the patch sets, the customer among them.
func (p *Patch) Len() int {
	n := 0
	if p.CustomerID != nil {
		n = 1
	}
	for id := range p.Values {
		if !p.Values[id].IsAbsent() {
			n++
		}
	}
	return n
}

// Filter is a condition on a record: the property has the value, which is neither absent nor null.
type Filter struct {
	Property ID
	Value    Value
}
