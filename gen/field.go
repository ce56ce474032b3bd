// Package gen is the server side of the contract: the models, the Echo routes and the strict interface, generated
// from openapi.yaml into api.gen.go. It stands between Echo's router and server/internal/api, which implements
// StrictServerInterface. Field is the one thing in it that is written by hand.
package gen

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Field is a nullable property of a request body, in one of three states: absent (the zero value), null (Set and
// Null) or a value (Set).
type Field[T any] struct {
	Set, Null bool
	Value     T
}

// UnmarshalJSONFrom takes null or a T. It is called only for a property that is there.
func (f *Field[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	f.Set = true
	if f.Null = d.PeekKind() == 'n'; f.Null {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, &f.Value)
}

// Pointer returns the value where it stands, nil for null.
func (f *Field[T]) Pointer() *T {
	if f.Null {
		return nil
	}
	return &f.Value
}
