package client

import "encoding/json"

// Field is a property of a change, in one of three states. Its zero value leaves the property as it is, Set gives it
// a value, and Clear empties it.
type Field[T any] struct {
	set   bool
	value *T
}

// Set returns a Field that gives the property the value v.
func Set[T any](v T) Field[T] { return Field[T]{set: true, value: &v} }

// Clear returns a Field that empties the property: it becomes null.
func Clear[T any]() Field[T] { return Field[T]{set: true} }

// IsZero reports whether the Field leaves the property as it is.
func (f Field[T]) IsZero() bool { return !f.set }

// MarshalJSON writes the value, or null where there is none. A zero Field is left out of the body before this is asked.
func (f Field[T]) MarshalJSON() ([]byte, error) { return json.Marshal(f.value) }

// UnmarshalJSON reads a value, or null, so that a change can be read back from JSON.
func (f *Field[T]) UnmarshalJSON(data []byte) error {
	*f = Field[T]{set: true}
	return json.Unmarshal(data, &f.value)
}
