package gen

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// ReadContract parses and validates the text of openapi.yaml, including its references and its examples. An error is one line
// that names the place; it never shows the schema or the example.
func ReadContract(text []byte) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, unreadable(text, firstLine(err))
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml%s: %s", lineOf(text), strings.TrimPrefix(firstLine(err), "invalid paths: "))
	}
	return doc, nil
}

// unreadable returns an error of the parser or the resolver that begins with the file and the line, as compilers write it.
func unreadable(text []byte, message string) error {
	message = strings.TrimPrefix(message, "failed to unmarshal data: yaml error: yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		return errors.New("openapi.yaml:" + rest)
	}
	if reference := regexp.MustCompile(`#/[^"]+`).FindString(message); reference != "" {
		before, _, _ := strings.Cut(string(text), reference)
		return fmt.Errorf("openapi.yaml:%d: %s", strings.Count(before, "\n")+1, message)
	}
	return errors.New("openapi.yaml: " + message)
}

// firstLine leaves out the schema and the value that kin-openapi's errors show below it.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// lineOf returns the line of what is invalid, as ":12", or "" if kin-openapi does not say it.
func lineOf(text []byte) string {
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return ""
	}
	var origin *openapi3.Origin
	var value *openapi3.SchemaValueError
	var kind *openapi3.SchemaTypeError
	switch err := doc.Validate(context.Background()); {
	case errors.As(err, &value):
		origin = value.Origin
	case errors.As(err, &kind):
		origin = kind.Origin
	}
	if origin == nil || origin.Key == nil {
		return ""
	}
	return fmt.Sprintf(":%d", origin.Key.Line)
}
