// Package provider is the domain: a customer's care provider, the change of one, and what a store of them promises.
//
// It stands between the handlers (package api), which speak the contract's types, and the stores (sqlite, postgres),
// which speak SQL; it knows neither HTTP, nor JSON, nor a database. A change is applied here and nowhere else, so
// every store behaves alike.
package provider

import (
	"time"

	"github.com/google/uuid"
)

// Provider is one record. Text is bounded by the contract, in Unicode code points: 255 unless said otherwise.
// A nil pointer is the contract's null.
type Provider struct {
	ID         uuid.UUID
	CustomerID uuid.UUID
	Version    int64     // 1 when made, one more with each change, without gaps
	CreatedAt  time.Time // UTC, whole milliseconds
	UpdatedAt  time.Time // UTC, whole milliseconds; never runs backwards
	Deleted    bool      // the record is gone; what is left of it has no values and carries on its versions

	Type              Type
	Specialty         *string
	ProviderName      *string
	PracticeName      *string
	NPI               *string // at most 50
	Phone             *string // at most 50
	Fax               *string // at most 50
	Email             *string
	Address           *string
	Address2          *string
	City              *string // at most 100
	State             *string // at most 50
	PostalCode        *string // at most 20
	IsPrimaryProvider *bool
	IsActive          *bool
	Notes             *string // at most 1000
}

// exists reports whether a store that found r under an ID has a record there.
func (r *Provider) exists() bool { return r != nil && !r.Deleted }

// values returns the record's values as the changes that would give them to a new one.
func (r *Provider) values() []Change {
	_, changes := r.Patch().Apply(Provider{})
	return changes
}

// Patch returns the change that gives every property the value that it has in r.
func (r *Provider) Patch() *Patch {
	return &Patch{
		CustomerID:        Field[uuid.UUID]{true, r.CustomerID},
		Type:              Field[Type]{true, r.Type},
		Specialty:         Field[*string]{true, r.Specialty},
		ProviderName:      Field[*string]{true, r.ProviderName},
		PracticeName:      Field[*string]{true, r.PracticeName},
		NPI:               Field[*string]{true, r.NPI},
		Phone:             Field[*string]{true, r.Phone},
		Fax:               Field[*string]{true, r.Fax},
		Email:             Field[*string]{true, r.Email},
		Address:           Field[*string]{true, r.Address},
		Address2:          Field[*string]{true, r.Address2},
		City:              Field[*string]{true, r.City},
		State:             Field[*string]{true, r.State},
		PostalCode:        Field[*string]{true, r.PostalCode},
		IsPrimaryProvider: Field[*bool]{true, r.IsPrimaryProvider},
		IsActive:          Field[*bool]{true, r.IsActive},
		Notes:             Field[*string]{true, r.Notes},
	}
}

// Type is what kind of provider a record describes, in the contract's words.
type Type string

// The types that the contract lists.
const (
	PrimaryCare Type = "Primary Care"
	Specialist  Type = "Specialist"
	Hospital    Type = "Hospital"
	Pharmacy    Type = "Pharmacy"
)

// Field is a property of a Patch: the zero value leaves the record's property alone, a Set one replaces it.
// Where the property can be null, T is a pointer and nil clears it.
type Field[T any] struct {
	Set   bool
	Value T
}

// Patch is a change to a record: every property in one of its states. The zero value changes nothing.
type Patch struct {
	CustomerID        Field[uuid.UUID]
	Type              Field[Type]
	Specialty         Field[*string]
	ProviderName      Field[*string]
	PracticeName      Field[*string]
	NPI               Field[*string]
	Phone             Field[*string]
	Fax               Field[*string]
	Email             Field[*string]
	Address           Field[*string]
	Address2          Field[*string]
	City              Field[*string]
	State             Field[*string]
	PostalCode        Field[*string]
	IsPrimaryProvider Field[*bool]
	IsActive          Field[*bool]
	Notes             Field[*string]
}

// Change is one property's part in an event: the contract's name of it, and its value before and after, each a
// string, a bool, or nil for null.
type Change struct {
	Field string
	From  any
	To    any
}

// Apply returns the record as the patch leaves it, and what changed. A property set to the value it has is no change.
// The record's version and times are the caller's business.
func (p *Patch) Apply(r Provider) (Provider, []Change) {
	c := changes{}
	made := r.Type == "" // the record is being made: it has had no customer and no type before
	if p.CustomerID.Set && (made || p.CustomerID.Value != r.CustomerID) {
		change := Change{"customerId", nil, p.CustomerID.Value.String()}
		if !made {
			change.From = r.CustomerID.String()
		}
		c = append(c, change)
		r.CustomerID = p.CustomerID.Value
	}
	if p.Type.Set && p.Type.Value != r.Type {
		change := Change{"providerType", nil, string(p.Type.Value)}
		if !made {
			change.From = string(r.Type)
		}
		c = append(c, change)
		r.Type = p.Type.Value
	}
	replace(&c, "specialty", &r.Specialty, p.Specialty)
	replace(&c, "providerName", &r.ProviderName, p.ProviderName)
	replace(&c, "practiceName", &r.PracticeName, p.PracticeName)
	replace(&c, "npi", &r.NPI, p.NPI)
	replace(&c, "phone", &r.Phone, p.Phone)
	replace(&c, "fax", &r.Fax, p.Fax)
	replace(&c, "email", &r.Email, p.Email)
	replace(&c, "address", &r.Address, p.Address)
	replace(&c, "address2", &r.Address2, p.Address2)
	replace(&c, "city", &r.City, p.City)
	replace(&c, "state", &r.State, p.State)
	replace(&c, "postalCode", &r.PostalCode, p.PostalCode)
	replace(&c, "isPrimaryProvider", &r.IsPrimaryProvider, p.IsPrimaryProvider)
	replace(&c, "isActive", &r.IsActive, p.IsActive)
	replace(&c, "notes", &r.Notes, p.Notes)
	return r, c
}

type changes []Change

func replace[T comparable](c *changes, name string, property **T, f Field[*T]) {
	if !f.Set {
		return
	}
	from, to := *property, f.Value
	if from == to || from != nil && to != nil && *from == *to {
		return
	}
	*c = append(*c, Change{name, orNil(from), orNil(to)})
	*property = to
}

func orNil[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}
