// Package gen is the server side of the contract: the models, the Echo routes and the strict interface, generated
// from openapi.yaml into api.gen.go. It stands between Echo's router and server/internal/api, which implements
// StrictServerInterface. Field is the one thing in it that is written by hand.
package gen

import "encoding/json"

// Field is a nullable property of a request body, in one of three states: absent (the zero value), null (Set, and
// Value is nil) or a value.
type Field[T any] struct {
	Set   bool
	Value *T
}

// UnmarshalJSON takes null or a T. It is called only for a property that is there.
func (f *Field[T]) UnmarshalJSON(data []byte) error {
	f.Set = true
	return json.Unmarshal(data, &f.Value)
}
