package storetest

import "github.com/carecycle/provider-api/server/internal/provider"

// property is a property of a record that can be null. Its values are string, bool, or nil for null.
type property struct {
	name  string // the contract's
	max   int    // code points of the longest text, 0 for a bool
	patch func(*provider.Patch, any)
	get   func(*provider.Provider) any
	put   func(*provider.Provider, any)
}

// properties are all that can be null, in the contract's order.
var properties = []property{
	nullable("specialty", 255, func(p *provider.Patch) *field[string] { return &p.Specialty }, func(r *provider.Provider) **string { return &r.Specialty }),
	nullable("providerName", 255, func(p *provider.Patch) *field[string] { return &p.ProviderName }, func(r *provider.Provider) **string { return &r.ProviderName }),
	nullable("practiceName", 255, func(p *provider.Patch) *field[string] { return &p.PracticeName }, func(r *provider.Provider) **string { return &r.PracticeName }),
	nullable("npi", 50, func(p *provider.Patch) *field[string] { return &p.NPI }, func(r *provider.Provider) **string { return &r.NPI }),
	nullable("phone", 50, func(p *provider.Patch) *field[string] { return &p.Phone }, func(r *provider.Provider) **string { return &r.Phone }),
	nullable("fax", 50, func(p *provider.Patch) *field[string] { return &p.Fax }, func(r *provider.Provider) **string { return &r.Fax }),
	nullable("email", 255, func(p *provider.Patch) *field[string] { return &p.Email }, func(r *provider.Provider) **string { return &r.Email }),
	nullable("address", 255, func(p *provider.Patch) *field[string] { return &p.Address }, func(r *provider.Provider) **string { return &r.Address }),
	nullable("address2", 255, func(p *provider.Patch) *field[string] { return &p.Address2 }, func(r *provider.Provider) **string { return &r.Address2 }),
	nullable("city", 100, func(p *provider.Patch) *field[string] { return &p.City }, func(r *provider.Provider) **string { return &r.City }),
	nullable("state", 50, func(p *provider.Patch) *field[string] { return &p.State }, func(r *provider.Provider) **string { return &r.State }),
	nullable("postalCode", 20, func(p *provider.Patch) *field[string] { return &p.PostalCode }, func(r *provider.Provider) **string { return &r.PostalCode }),
	nullable("isPrimaryProvider", 0, func(p *provider.Patch) *field[bool] { return &p.IsPrimaryProvider }, func(r *provider.Provider) **bool { return &r.IsPrimaryProvider }),
	nullable("isActive", 0, func(p *provider.Patch) *field[bool] { return &p.IsActive }, func(r *provider.Provider) **bool { return &r.IsActive }),
	nullable("notes", 1000, func(p *provider.Patch) *field[string] { return &p.Notes }, func(r *provider.Provider) **string { return &r.Notes }),
}

type field[T any] = provider.Field[*T]

func nullable[T any](name string, max int, inPatch func(*provider.Patch) *field[T], inRecord func(*provider.Provider) **T) property {
	pointer := func(value any) *T {
		if value == nil {
			return nil
		}
		return new(value.(T))
	}
	return property{
		name:  name,
		max:   max,
		patch: func(p *provider.Patch, value any) { *inPatch(p) = set(pointer(value)) },
		put:   func(r *provider.Provider, value any) { *inRecord(r) = pointer(value) },
		get: func(r *provider.Provider) any {
			if value := *inRecord(r); value != nil {
				return *value
			}
			return nil
		},
	}
}

// values returns two values of a property that differ from one another.
func (p property) values() (one, other any) {
	if p.max == 0 {
		return true, false
	}
	return "one " + p.name, "other " + p.name
}

// patchOfAll sets every property that can be null to the one of its values or, if not one, the other.
func patchOfAll(one bool) provider.Patch {
	var patch provider.Patch
	for _, p := range properties {
		value, other := p.values()
		if !one {
			value = other
		}
		p.patch(&patch, value)
	}
	return patch
}

// patchOfNulls clears every property that can be null.
func patchOfNulls() provider.Patch {
	var patch provider.Patch
	for _, p := range properties {
		p.patch(&patch, nil)
	}
	return patch
}
