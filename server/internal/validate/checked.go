package validate

import "iter"

// Checked is a JSON text that a Schema allows, with its members if it is an object. It shares the bytes that were checked.
type Checked struct {
	text    []byte
	members []member
}

// member is where an object has the value of a property.
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

// findMembers finds the members of a text that a Schema allows.
func findMembers(text []byte) (Checked, error) {
	c := Checked{text: text}
	p := newParser(text)
	if start, err := p.dec.ReadToken(); err != nil || start.Kind() != '{' {
		return c, nil // which has no members
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadToken()
		if err != nil {
			return Checked{}, malformed(err)
		}
		m := member{name: name.String()}
		value, err := p.dec.ReadValue()
		if err != nil {
			return Checked{}, malformed(err)
		}
		m.end = int(p.dec.InputOffset())
		m.start = m.end - len(value)
		c.members = append(c.members, m)
	}
	return c, nil
}
