package validate

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	stdjson "encoding/json"
)

// maxDepth bounds how deep arrays and objects nest, and with it what the decoder allocates.
const maxDepth = 32

// reader reads one JSON text in the types that kin-openapi checks. It is strict where encoding/json is not: names match
// exactly, and invalid UTF-8, lone surrogates and data after the value are a MalformedError.
//
// It takes no more from the text than the schema can allow, so that rejecting a text costs no more than accepting one: it
// reports unknown and duplicate names itself, and skips what they and nested arrays and objects hold.
type reader struct {
	dec    *jsontext.Decoder
	schema *Schema

	values  map[string]any // of the properties that the schema has
	members []member       // the same, as places in the text
	errs    ValidationError
}

// read returns the value of the text, and what it reported about it.
func (s *Schema) read(text []byte) (value any, r *reader, err error) {
	r = &reader{schema: s, dec: jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))}
	if r.dec.PeekKind() == '{' {
		value, err = r.object()
	} else {
		value, err = r.value(nil)
	}
	switch {
	case err == io.EOF:
		return nil, nil, errEmptyBody
	case err != nil:
		return nil, nil, malformed(text, err)
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return nil, nil, errTrailingData
	}
	return value, r, nil
}

func (r *reader) object() (any, error) {
	r.values = make(map[string]any, len(r.schema.properties))
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, err
	}
	for r.dec.PeekKind() != '}' {
		token, err := r.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if err := r.property(token.String()); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.ReadToken()
	return r.values, err
}

func (r *reader) property(name string) error {
	if !slices.Contains(r.schema.properties, name) {
		if !r.errs.full() {
			r.errs = append(r.errs, unknownProperty(name, r.schema.suggestion(name)))
		}
		return r.skip()
	}
	if _, again := r.values[name]; again {
		if !r.errs.full() {
			r.errs = append(r.errs, duplicateProperty(name))
		}
		return r.skip()
	}
	r.dec.PeekKind() // moves to the value
	value, err := r.value([]string{name})
	if err != nil {
		return err
	}
	r.values[name] = value
	return nil
}

// skip reads a value without keeping it.
func (r *reader) skip() error {
	depth := r.dec.StackDepth()
	for {
		if _, err := r.dec.ReadToken(); err != nil {
			return err
		}
		switch d := r.dec.StackDepth(); {
		case d == depth:
			return nil
		case d > maxDepth:
			return errTooDeep
		}
	}
}

// value returns an empty array or object for one that holds anything: no property is either.
func (r *reader) value(path []string) (any, error) {
	switch r.dec.PeekKind() {
	case '{':
		return map[string]any{}, r.skip()
	case '[':
		return []any{}, r.skip()
	}
	text, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if end := int(r.dec.InputOffset()); len(path) > 0 {
		r.members = append(r.members, member{path[0], end - len(text), end})
	}
	switch text.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return text.Kind() == 't', nil
	case '0':
		return stdjson.Number(text), nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(unquoted, 0) >= 0 {
		r.errs = append(r.errs, nulCharacter(path))
	}
	return string(unquoted), nil
}

// malformed says where a text stops being JSON. It does so in its own words, because the decoder's quote the text.
func malformed(text []byte, err error) error {
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		return err
	}
	if known := otherEncoding(text); known != nil {
		return known
	}
	what := "it has a syntax error"
	switch cause := syntactic.Err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errSyntax("it ends too early", syntactic.ByteOffset, "")
	case strings.Contains(cause, "UTF-8"), strings.Contains(cause, "surrogate"):
		what = "it has text that is not Unicode"
	}
	return errSyntax(what, syntactic.ByteOffset, firstIdentifier(syntactic.JSONPointer))
}

// otherEncoding returns an error for a text whose first bytes show that it is encoded otherwise than as plain UTF-8.
func otherEncoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return errByteOrderMark
	case bytes.HasPrefix(text, []byte("\x1f\x8b")):
		return errCompressed
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), len(text) > 1 && (text[0] == 0) != (text[1] == 0):
		return errUTF16
	}
	return nil
}

// firstIdentifier returns the first name of a pointer that an error may repeat, and "" if there is none.
func firstIdentifier(pointer jsontext.Pointer) string {
	for name := range pointer.Tokens() {
		if isIdentifier(name) {
			return name
		}
	}
	return ""
}
