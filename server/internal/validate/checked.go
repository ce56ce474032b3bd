package validate

import "iter"

// Checked is a JSON object that a Schema allows, with its members. It shares the bytes that were checked.
type Checked struct {
	text    []byte
	members []member
}

// member is the place of a property's value in an object.
type member struct {
	name       string
	start, end int
}

// Text returns the whole text.
func (c Checked) Text() []byte { return c.text }

// All returns the members in their order: names, and values as JSON. The values share one copy of the text.
func (c Checked) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		text := string(c.text)
		for _, m := range c.members {
			if !yield(m.name, text[m.start:m.end]) {
				return
			}
		}
	}
}
