package storetest

import (
	"fmt"

	"github.com/carecycle/provider-api/gen/property"
)

// samples returns two values of a property that differ from one another.
func samples(p int) (one, other property.Value) {
	description := &property.Table[p]
	switch {
	case description.Kind == property.BooleanKind:
		return property.Boolean(true), property.Boolean(false)
	case description.Enum != nil:
		return property.Text(description.Enum[0]), property.Text(description.Enum[len(description.Enum)-1])
	}
	return property.Text("one " + description.Name), property.Text("other " + description.Name)
}

// PatchOf returns a change that sets every property, to texts and booleans that differ from one number to another.
func PatchOf(n int) property.Patch {
	var patch property.Patch
	for id, p := range property.Table {
		one, other := samples(id)
		patch.Values[id] = []property.Value{one, other}[n&1]
		if p.MaxLength > 0 {
			patch.Values[id] = property.Text(fmt.Sprint(p.Name[:min(len(p.Name), 3)], " ", n))
		}
	}
	return patch
}

// Body returns the JSON of a change of every property, with what is given in front of them: members, each with a comma.
func Body(members string) string {
	body := "{" + members + `"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a"`
	for _, p := range property.Table {
		text := "Any " + p.Name
		value := `"` + text[:min(len(text), p.MaxLength)] + `"`
		if p.Enum != nil {
			value = `"` + p.Enum[0] + `"`
		} else if p.Kind == property.BooleanKind {
			value = "true"
		}
		body += `,"` + p.Name + `":` + value
	}
	return body + "}"
}

// patchOfAll sets every property to the one of its samples or, if not one, to the other.
func patchOfAll(one bool) property.Patch {
	var patch property.Patch
	for p := range patch.Values {
		value, other := samples(p)
		if !one {
			value = other
		}
		patch.Values[p] = value
	}
	return patch
}

// complete has a patch set each property that cannot be null.
func complete(patch *property.Patch) {
	for id, p := range property.Table {
		if !p.Nullable && patch.Values[id].IsAbsent() {
			patch.Values[id], _ = samples(id)
		}
	}
}

// patchOfNulls clears every property that can be null.
func patchOfNulls() property.Patch {
	var patch property.Patch
	for p := range patch.Values {
		if property.Table[p].Nullable {
			patch.Values[p] = property.Null
		}
	}
	return patch
}

// valuesOf returns the values of a record that was given these and no others.
func valuesOf(given property.Values) property.Values {
	values := property.Nulls()
	for id, value := range given {
		if !value.IsAbsent() {
			values[id] = value
		}
	}
	return values
}
