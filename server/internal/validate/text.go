package validate

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Text is a JSON text that a Schema allows.
type Text struct {
	text    []byte
	quick   *quick // nil if it has left the text to kin-openapi
	members []member
}

// Decode stores the text in what target points to, a zero value of the Go type that belongs to the schema. Names match
// exactly. The target keeps nothing of the text's bytes.
//
// An error says that the type does not belong to the schema; it holds nothing of the text.
func (t Text) Decode(target any) error {
	value := reflect.ValueOf(target).Elem()
	if t.quick != nil && t.assign(value) {
		return nil
	}
	value.SetZero()
	if err := json.Unmarshal(t.text, target); err != nil {
		return fmt.Errorf("decode a valid text into %T", target) // the cause quotes the text
	}
	return nil
}

// assign is Decode for what quick has found, so that it need not be looked for again. It reports false if it leaves the
// type, or that of a field, to the decoder.
func (t Text) assign(target reflect.Value) bool {
	fields := t.quick.fieldsOf(target.Type())
	if fields == nil {
		return false
	}
	text := string(t.text) // one copy, which the values share: the bytes are somebody else's next
	for _, m := range t.members {
		index := fields[m.rule.position]
		if index == nil || !set(target.FieldByIndex(index), text[m.start:m.end]) {
			return false
		}
	}
	return true
}

// fieldsOf returns where a type has the properties of the quick, by their positions: nil for those that are the decoder's,
// and for a type that is.
func (q *quick) fieldsOf(t reflect.Type) [][]int {
	if known, found := q.fields.Load(t); found {
		return known.([][]int)
	}
	var fields [][]int
	if t.Kind() == reflect.Struct && !decodesItself(t) {
		fields = make([][]int, len(q.rules))
		q.findFields(t, nil, fields, map[string]bool{})
	}
	q.fields.Store(t, fields)
	return fields
}

// findFields finds the fields of a struct and of those embedded in it. Which of two with one name counts is the decoder's
// to say.
func (q *quick) findFields(t reflect.Type, within []int, fields [][]int, seen map[string]bool) {
	for i := range t.NumField() {
		field := t.Field(i)
		index := append(slices.Clip(within), i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct && !decodesItself(field.Type) {
			q.findFields(field.Type, index, fields, seen)
			continue
		}
		r := q.rules[`"`+name+`"`]
		if r == nil {
			continue
		}
		fields[r.position] = nil
		if !seen[name] && field.IsExported() {
			fields[r.position] = index
		}
		seen[name] = true
	}
}

func decodesItself(t reflect.Type) bool {
	switch reflect.Zero(reflect.PointerTo(t)).Interface().(type) {
	case encoding.TextUnmarshaler, json.Unmarshaler, json.UnmarshalerFrom:
		return true
	}
	return false
}

// set stores a text, a truth value or null, as JSON writes it.
func set(field reflect.Value, value string) bool {
	null, yes, no := value == "null", value == "true", value == "false"
	switch f := field.Addr().Interface().(type) {
	case *gen.Field[string]:
		f.Set, f.Null = true, null
		return null || unquote(value, &f.Value)
	case *gen.Field[bool]:
		f.Set, f.Null, f.Value = true, null, yes
		return null || yes || no
	case *uuid.UUID:
		var text string
		ok := unquote(value, &text)
		id, err := uuid.Parse(text)
		*f = id
		return ok && err == nil
	case encoding.TextUnmarshaler, json.Unmarshaler, json.UnmarshalerFrom:
		return false
	}
	switch field.Kind() {
	case reflect.Pointer:
		if !null {
			field.Set(reflect.New(field.Type().Elem()))
		}
		return null || set(field.Elem(), value)
	case reflect.String:
		var text string
		ok := unquote(value, &text)
		field.SetString(text)
		return ok
	case reflect.Bool:
		field.SetBool(yes)
		return yes || no
	}
	return false
}

// unquote stores what a JSON string says, and reports false if the value is none. Most have nothing to unescape.
func unquote(value string, text *string) bool {
	if value[0] != '"' {
		return false
	}
	if !strings.Contains(value, `\`) {
		*text = value[1 : len(value)-1]
		return true
	}
	unescaped, err := jsontext.AppendUnquote(nil, value)
	*text = string(unescaped)
	return err == nil
}
