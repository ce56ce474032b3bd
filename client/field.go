package client

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Field is a property of a change, in one of three states. Its zero value leaves the property as it is, Set gives it
// a value, and Clear empties it. Two Fields are == if they do the same.
type Field[T any] struct {
	set, null bool
	value     T
}

// Set returns a Field that gives the property the value v. The empty text is a value.
func Set[T any](v T) Field[T] { return Field[T]{set: true, value: v} }

// Clear returns a Field that empties the property: it becomes null.
func Clear[T any]() Field[T] { return Field[T]{set: true, null: true} }

// FieldOf returns a Field that gives the property the value that p points to, or empties it if p is nil. So FieldOf(record.Phone) makes
// another record's telephone number like this one's.
func FieldOf[T any](p *T) Field[T] {
	if p == nil {
		return Clear[T]()
	}
	return Set(*p)
}

// difference returns the zero Field if the values are the same, or else one that makes from like to.
func difference[T comparable](from, to *T) (f Field[T]) {
	if from == to || from != nil && to != nil && *from == *to {
		return f
	}
	return FieldOf(to)
}

// Get returns the value that the Field gives the property. It reports false if there is none: see IsZero and IsNull.
func (f Field[T]) Get() (value T, ok bool) { return f.value, f.set && !f.null }

// IsNull reports whether the Field empties the property.
func (f Field[T]) IsNull() bool { return f.set && f.null }

var errNotUTF8 = errors.New("the text is not valid UTF-8")

// IsZero reports whether the Field leaves the property as it is.
func (f Field[T]) IsZero() bool { return !f.set }

// MarshalJSON writes the value, or null if there is none. The encoder omits a zero Field.
// Text that is not UTF-8 is an error, since JSON cannot carry it unchanged.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	if !f.set || f.null {
		return []byte("null"), nil
	}
	if text, ok := any(f.value).(string); ok && !utf8.ValidString(text) {
		return nil, errNotUTF8
	}
	return json.Marshal(f.value)
}

// UnmarshalJSON reads a value, or null, so that a change can be read back from JSON.
func (f *Field[T]) UnmarshalJSON(data []byte) error {
	var value *T
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	if *f = Clear[T](); value != nil {
		*f = Set(*value)
	}
	return nil
}
