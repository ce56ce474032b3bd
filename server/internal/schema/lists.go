package schema

import (
	"slices"

	"github.com/carecycle/provider-api/gen/property"
)

// filterIndexes are the indexes of lists with filters, which the migrations create: the properties that each has between the
// customer and the time. A list with filters on other properties reads all records of its customer.
var filterIndexes = [][]string{
	{"isActive"},
	{"providerType", "isActive"},
}

// Branches returns the filters of a list as one or more sets of filters. An index holds the records of each set in the order of
// the list, and the list has those of all sets. Where an index has a boolean that the list does not ask for, there is a set for
// each of its values; null then stands for a property without a value.
func Branches(filters []property.Filter) [][]property.Filter {
	var missing []property.ID
	found := false
	for _, names := range filterIndexes {
		rest, ok := without(names, filters)
		if ok && (!found || len(rest) < len(missing)) {
			missing, found = rest, true
		}
	}
	branches := [][]property.Filter{filters}
	if len(filters) == 0 || !found {
		return branches
	}
	for _, id := range missing {
		var next [][]property.Filter
		for _, branch := range branches {
			for _, value := range []property.Value{property.Boolean(true), property.Boolean(false), property.Null} {
				next = append(next, append(slices.Clip(branch), property.Filter{Property: id, Value: value}))
			}
		}
		branches = next
	}
	return branches
}

// without returns the properties of an index that no filter is about. It returns false if the index lacks a filter's property, or
// if one of those properties has more values than can be tried.
func without(names []string, filters []property.Filter) (rest []property.ID, ok bool) {
	used := 0
	for _, name := range names {
		id, known := property.ByName(name)
		if !known {
			return nil, false
		}
		if slices.ContainsFunc(filters, func(f property.Filter) bool { return f.Property == id }) {
			used++
			continue
		}
		if property.Table[id].Kind != property.BooleanKind {
			return nil, false
		}
		rest = append(rest, id)
	}
	return rest, used == len(filters)
}
