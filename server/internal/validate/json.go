package validate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/go-json-experiment/json/jsontext"

	stdjson "encoding/json"
)

// maxDepth bounds how deep arrays and objects nest; the contract's bodies are flat.
const maxDepth = 32

// parse reads data as one JSON value, in the types that kin-openapi visits. It is strict where encoding/json is not:
// names are kept as they are written, and invalid UTF-8, lone surrogates and data after the value are a MalformedError.
// What is JSON and yet must not be stored, a name given twice and the NUL character, is returned as faults, beside the value.
func parse(data []byte) (any, ValidationError, error) {
	p := newParser(data)
	value, err := p.value(nil)
	if err == io.EOF {
		return nil, nil, MalformedError("The body is empty; send a JSON object.")
	}
	if err != nil {
		return nil, nil, malformed(err)
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return nil, nil, MalformedError("The body must be one JSON value; something follows it.")
	}
	return value, p.faults, nil
}

type parser struct {
	dec    *jsontext.Decoder
	faults ValidationError
}

func newParser(data []byte) *parser {
	return &parser{dec: jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true))}
}

func (p *parser) value(path []string) (any, error) {
	token, err := p.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '0':
		return stdjson.Number(token.String()), nil
	case '"':
		s := token.String()
		if strings.ContainsRune(s, 0) {
			p.faults = append(p.faults, nulCharacter(path))
		}
		return s, nil
	}
	if len(path) == maxDepth {
		return nil, MalformedError(fmt.Sprintf("The body nests deeper than %d levels.", maxDepth))
	}
	if token.Kind() == '[' {
		list := []any{}
		for p.dec.PeekKind() != ']' {
			item, err := p.value(append(path, fmt.Sprint(len(list))))
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := p.dec.ReadToken()
		return list, err
	}
	object := map[string]any{}
	for p.dec.PeekKind() != '}' {
		token, err := p.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		member := append(path, name)
		if _, again := object[name]; again {
			p.faults = append(p.faults, fault(member, "duplicate_property", "is given more than once", "one value", "several values"))
		}
		if object[name], err = p.value(member); err != nil {
			return nil, err
		}
	}
	_, err = p.dec.ReadToken()
	return object, err
}

// malformed says in words of our own where the JSON breaks: the decoder's words quote the body.
func malformed(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case !errors.As(err, &syntactic):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return MalformedError(fmt.Sprintf("The body is not JSON: it ends too early, after byte %d.", syntactic.ByteOffset))
	case strings.Contains(syntactic.Err.Error(), "UTF-8"), strings.Contains(syntactic.Err.Error(), "surrogate"):
		return MalformedError(fmt.Sprintf("The body is not JSON: it has text that is not Unicode after byte %d%s.", syntactic.ByteOffset, within(syntactic.JSONPointer)))
	}
	return MalformedError(fmt.Sprintf("The body is not JSON: the fault is after byte %d%s.", syntactic.ByteOffset, within(syntactic.JSONPointer)))
}

func within(pointer jsontext.Pointer) string {
	for name := range pointer.Tokens() {
		if name = printable(name); name != "" {
			return ", in " + name
		}
	}
	return ""
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// printable returns a name from a body if an error may repeat it: a name that looks like one. Anything else could be
// a value that was put in the wrong place.
func printable(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return ""
}

func fault(path []string, code, message, expected, received string) gen.FieldError {
	shown := []string{}
	for _, name := range path {
		if name = printable(name); name == "" {
			break
		}
		shown = append(shown, name)
	}
	subject := "The body"
	if len(shown) > 0 {
		subject = strings.Join(shown, ".")
	}
	return gen.FieldError{
		Path: slices.Clip(shown), Code: code, Message: subject + " " + message + ".", Expected: expected, Received: received,
	}
}

func nulCharacter(path []string) gen.FieldError {
	return fault(path, "nul_character", "must not contain the character U+0000", "text without U+0000", "text with U+0000")
}
