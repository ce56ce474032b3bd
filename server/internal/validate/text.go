package validate

import (
	"encoding"
	"fmt"
	"reflect"
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
	if t.quick != nil && t.assign(reflect.ValueOf(target).Elem()) {
		return nil
	}
	if err := json.Unmarshal(t.text, target); err != nil {
		return fmt.Errorf("decode a valid text into %T", target) // the cause quotes the text
	}
	return nil
}

// assign is Decode for what quick has found, so that it need not be looked for again. It reports false if a field is of a
// type that it leaves to the decoder.
func (t Text) assign(target reflect.Value) bool {
	layout, text := t.quick.layoutOf(target.Type()), string(t.text) // whose pieces the values are
	for _, m := range t.members {
		index := layout[m.rule.position]
		if index == nil || !assign(target.FieldByIndex(index), text[m.start:m.end]) {
			return false
		}
	}
	return true
}

// layout is where a struct has the properties of a quick, by their positions.
type layout [][]int

func (q *quick) layoutOf(t reflect.Type) layout {
	if known, found := q.layouts.Load(t); found {
		return known.(layout)
	}
	l := make(layout, len(q.rules))
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if r := q.rules[`"`+name+`"`]; r != nil {
			l[r.position] = field.Index
		}
	}
	q.layouts.Store(t, l)
	return l
}

// assign stores a text, a truth value or null, as JSON writes it.
func assign(field reflect.Value, value string) bool {
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
		return unquote(value, &text) && f.UnmarshalText([]byte(text)) == nil
	case encoding.TextUnmarshaler, json.Unmarshaler, json.UnmarshalerFrom:
		return false
	}
	switch field.Kind() {
	case reflect.Pointer:
		if !null {
			field.Set(reflect.New(field.Type().Elem()))
		}
		return null || assign(field.Elem(), value)
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
