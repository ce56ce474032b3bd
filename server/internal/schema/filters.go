package schema

import (
	"slices"

	"github.com/carecycle/provider-api/gen/property"
)

// filterIndex has the properties that the index providers_by_filter has between the customer and the time: one that is a text, and
// booleans. It holds the records of a customer that have the same values of them in the order of a list.
var filterIndex = []string{"providerType", "isActive"}

// InFilterIndex says of each property whether it is in the index providers_by_filter.
var InFilterIndex = func() (in [len(property.Table)]bool) {
	for id := range property.Table {
		in[id] = slices.Contains(filterIndex, property.Table[id].Name)
	}
	return in
}()

// Branches returns the filters of a list as sets of filters that have a value for each property of the index providers_by_filter: the
// list has the records of all sets. A boolean that the list does not ask for has each of its values in turn; null then stands for
// a property without a value. values returns those that the customer's records have of the text. It is not called if the list asks
// for one.
//
// If the list does not need that index, or the index does not help, the result is nil.
func Branches(filters []property.Filter, values func(property.ID) ([]property.Value, error)) ([][]property.Filter, error) {
	var missing []property.ID
	for _, name := range filterIndex {
		id, known := property.ByName(name)
		if !known {
			return nil, nil
		}
		if !slices.ContainsFunc(filters, func(f property.Filter) bool { return f.Property == id }) {
			missing = append(missing, id)
		}
	}
	if len(filters) == 0 || len(filters)+len(missing) > len(filterIndex) {
		return nil, nil
	}
	branches := [][]property.Filter{filters}
	for _, id := range missing {
		all := []property.Value{property.Boolean(true), property.Boolean(false), property.Null}
		if property.Table[id].Kind != property.BooleanKind {
			var err error
			if all, err = values(id); err != nil {
				return nil, err
			}
		}
		var next [][]property.Filter
		for _, branch := range branches {
			for _, value := range all {
				next = append(next, append(slices.Clip(branch), property.Filter{Property: id, Value: value}))
			}
		}
		branches = next
	}
	return branches, nil
}
