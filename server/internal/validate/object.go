package validate

import "iter"

// Object is a JSON object that a Schema allows. It shares the bytes that were checked.
type Object struct {
	text    []byte
	members []member
}

// member is where an object has the value of a property.
type member struct {
	name       string
	start, end int
}

// All returns the members in their order: names, and values as JSON. The values share one copy of the text.
func (o Object) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		text := string(o.text)
		for _, m := range o.members {
			if !yield(m.name, text[m.start:m.end]) {
				return
			}
		}
	}
}

// parseObject finds the members of a text that has been checked.
func parseObject(text []byte) (Object, error) {
	o := Object{text: text}
	p := newParser(text)
	if _, err := p.dec.ReadToken(); err != nil { // {
		return Object{}, malformed(err)
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadToken()
		if err != nil {
			return Object{}, malformed(err)
		}
		m := member{name: name.String()}
		value, err := p.dec.ReadValue()
		if err != nil {
			return Object{}, malformed(err)
		}
		m.end = int(p.dec.InputOffset())
		m.start = m.end - len(value)
		o.members = append(o.members, m)
	}
	return o, nil
}
