// Package provider is the domain: a customer's care provider, a write to one, and what a store of them promises.
//
// It sits between the handlers (package api), which use the contract's types, and the stores (sqlite, postgres), which use
// SQL. It knows nothing of HTTP, JSON or databases. Changes are applied here and nowhere else, so every store behaves alike.
package provider

import (
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// Provider is one record.
type Provider struct {
	ID         uuid.UUID
	CustomerID uuid.UUID
	Version    int64     // 1 when created, one more with each change, without gaps
	CreatedAt  time.Time // UTC, whole milliseconds
	UpdatedAt  time.Time // UTC, whole milliseconds; never runs backwards
	Deleted    bool      // the record was deleted; nothing is left of it but its IDs, its type and its version
	Values     property.Values
}

// exists reports whether a store that found r under an ID has a record there.
func (r *Provider) exists() bool { return r != nil && !r.Deleted }

// Change is the change of one property: its name in the contract, and its value before and after.
type Change struct {
	Field string
	From  property.Value
	To    property.Value
}

// customerID is the name of the property that moves a record. It is a key, so it is not in the table of properties.
const customerID = "customerId"

// ChangedProperties returns the names that a Change can have, in the order of the documented page.
func ChangedProperties() []string {
	names := make([]string, 0, 1+len(property.Table))
	names = append(names, customerID)
	for id := range property.Table {
		names = append(names, property.Table[id].Name)
	}
	return names
}

// With returns the record with the patch applied, and the changes, in the order of the documented page. Setting a property to
// the value that it has is no change. The version and the times stay as they are.
func (r Provider) With(patch *property.Patch) (Provider, []Change) {
	var changes []Change
	change := func(field string, from, to property.Value) {
		if changes == nil {
			changes = make([]Change, 0, patch.Len())
		}
		changes = append(changes, Change{field, from, to})
	}
	if to := patch.CustomerID; to != nil && *to != r.CustomerID {
		change(customerID, property.Text(r.CustomerID.String()), property.Text(to.String()))
		r.CustomerID = *to
	}
	for id := range patch.Values {
		if to := patch.Values[id]; !to.IsAbsent() && to != r.Values[id] {
			change(property.Table[id].Name, r.Values[id], to)
			r.Values[id] = to
		}
	}
	return r, changes
}

// given returns a change for each property that has a value, from null.
func given(r *Provider) []Change {
	changes := make([]Change, 0, 1+len(r.Values))
	changes = append(changes, Change{customerID, property.Null, property.Text(r.CustomerID.String())})
	for id := range r.Values {
		if value := r.Values[id]; !value.IsNull() {
			changes = append(changes, Change{property.Table[id].Name, property.Null, value})
		}
	}
	return changes
}
