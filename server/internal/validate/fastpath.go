package validate

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// fastPath accepts most valid bodies, flat objects of texts and booleans, in one pass over their bytes. It never rejects a
// body: kin-openapi decides on what it does not accept. It must accept nothing that kin-openapi would reject; a fuzz test
// compares the two.
type fastPath struct {
	rules    map[string]*rule // by name, as JSON writes it: "phone" with its quotes
	required uint64           // the bits of the properties that must be there
}

type rule struct {
	name      string
	position  uint // of its bit
	text      bool // is allowed
	boolean   bool // is allowed
	nullable  bool
	uuid      bool
	maxLength int      // of text, in code points; -1 for none
	enum      []string // as JSON writes them; nil for any text
}

// newFastPath returns the fast path of a schema, nil if the schema has a rule that fastPath does not know.
func newFastPath(schema *openapi3.Schema) *fastPath {
	closed := schema.AdditionalProperties.Has != nil && !*schema.AdditionalProperties.Has
	known := openapi3.Schema{
		Type: schema.Type, Properties: schema.Properties, AdditionalProperties: schema.AdditionalProperties, Required: schema.Required,
		Description: schema.Description, Origin: schema.Origin,
	}
	if !closed || !schema.Type.Is("object") || len(schema.Properties) > 64 || !equal(schema, &known) {
		return nil
	}
	f := &fastPath{rules: map[string]*rule{}}
	for name, property := range schema.Properties {
		r, ok := newRule(property.Value)
		if !ok || !needsNoEscape(name) {
			return nil
		}
		r.name, r.position = name, uint(len(f.rules))
		f.rules[`"`+name+`"`] = r
	}
	for _, name := range schema.Required {
		r, ok := f.rules[`"`+name+`"`]
		if !ok {
			return nil
		}
		f.required |= 1 << r.position
	}
	return f
}

func newRule(schema *openapi3.Schema) (*rule, bool) {
	known := openapi3.Schema{
		Type: schema.Type, Nullable: schema.Nullable, MaxLength: schema.MaxLength, Enum: schema.Enum, Format: schema.Format,
		Description: schema.Description, Example: schema.Example, Origin: schema.Origin,
	}
	r := &rule{
		text: schema.Type.Is("string"), boolean: schema.Type.Is("boolean"),
		nullable: schema.Nullable, uuid: schema.Format == "uuid", maxLength: -1,
	}
	if schema.Pattern == withoutNUL {
		known.Pattern = withoutNUL
	}
	if schema.MaxLength != nil {
		r.maxLength = int(*schema.MaxLength)
	}
	for _, value := range schema.Enum {
		if value == nil { // what nullable says too
			continue
		}
		word, ok := value.(string)
		if !ok || !needsNoEscape(word) || r.uuid || r.maxLength >= 0 {
			return r, false
		}
		r.enum = append(r.enum, `"`+word+`"`)
	}
	formatKnown := schema.Format == "" || r.uuid && r.text
	return r, (r.text || r.boolean && r.enum == nil) && formatKnown && equal(schema, &known)
}

// needsNoEscape reports whether JSON writes a text as it is, between quotes.
func needsNoEscape(text string) bool {
	quoted, err := jsontext.AppendQuote(nil, text)
	return err == nil && string(quoted) == `"`+text+`"`
}

// equal reports whether two schemas are the same as JSON.
func equal(a, b *openapi3.Schema) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

type scanner struct {
	buffer  bytes.Buffer
	decoder *jsontext.Decoder
}

var scanners = sync.Pool{New: func() any {
	s := &scanner{}
	s.decoder = jsontext.NewDecoder(&s.buffer)
	return s
}}

// accepts reports whether the text is certainly valid, and returns its members.
func (f *fastPath) accepts(text []byte) ([]member, bool) {
	if f == nil {
		return nil, false
	}
	s := scanners.Get().(*scanner)
	defer scanners.Put(s)
	s.buffer = *bytes.NewBuffer(text)
	s.decoder.Reset(&s.buffer, jsontext.AllowDuplicateNames(true)) // seen finds them at less cost
	defer func() { s.buffer = bytes.Buffer{} }()

	if start, err := s.decoder.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, false
	}
	members := make([]member, 0, len(f.rules))
	seen := uint64(0)
	for s.decoder.PeekKind() == '"' {
		name, err := s.decoder.ReadValue()
		if err != nil {
			return nil, false
		}
		r, known := f.rules[string(name)]
		if !known || seen&(1<<r.position) != 0 {
			return nil, false
		}
		seen |= 1 << r.position
		value, err := s.decoder.ReadValue()
		if err != nil || !r.accepts(value) {
			return nil, false
		}
		end := int(s.decoder.InputOffset())
		members = append(members, member{r.name, end - len(value), end})
	}
	if end, err := s.decoder.ReadToken(); err != nil || end.Kind() != '}' {
		return nil, false
	}
	rest := text[s.decoder.InputOffset():]
	return members, seen&f.required == f.required && len(bytes.TrimLeft(rest, " \t\r\n")) == 0
}

func (r *rule) accepts(value jsontext.Value) bool {
	switch value.Kind() {
	case 'n':
		return r.nullable
	case 't', 'f':
		return r.boolean
	case '"':
		return r.text && r.acceptsText(value)
	}
	return false
}

func (r *rule) acceptsText(value jsontext.Value) bool {
	inner := value[1 : len(value)-1]
	switch {
	case r.enum != nil:
		for _, word := range r.enum {
			if string(value) == word {
				return true
			}
		}
		return false
	case r.uuid:
		return isUUID(string(inner))
	case bytes.Contains(inner, []byte(`\u`)): // U+0000, for example
		return false
	}
	// An escape takes more bytes than the one character it stands for.
	return r.maxLength < 0 || len(inner) <= r.maxLength || utf8.RuneCount(inner) <= r.maxLength
}

// isUUID reports whether the text is a UUID of version 1 to 8 (RFC 9562) in its usual form.
func isUUID(text string) bool {
	if len(text) != 36 || strings.IndexByte("12345678", text[14]) < 0 || strings.IndexByte("89abAB", text[19]) < 0 {
		return false
	}
	return uuid.Validate(text) == nil
}
