package validate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen"
	"github.com/getkin/kin-openapi/openapi3"
)

// This file has every text that this package reports to a caller of the API, or to the operator who imports a file. No text
// holds a submitted value.

// ValidationError lists what in a request breaks the contract, sorted by path: the contract's VALIDATION_ERROR.
// It holds at most one entry more than it reports, which says that there are more.
type ValidationError []gen.FieldError

// maxReported bounds how many errors of a request are built and reported, so that rejecting a body costs no more than
// accepting one.
const maxReported = 100

// Error returns a summary for a person.
func (e ValidationError) Error() string {
	switch {
	case len(e) == 1:
		return "The request has an error: " + e[0].Message
	case len(e) > maxReported:
		return fmt.Sprintf("The request has more than %d errors; the first %[1]d are listed.", maxReported)
	}
	return fmt.Sprintf("The request has %d errors; all are listed.", len(e))
}

// Reported returns the errors that a response lists: all of them, up to a hundred.
func (e ValidationError) Reported() []gen.FieldError { return e[:min(len(e), maxReported)] }

func (e ValidationError) full() bool { return len(e) > maxReported }

func (e ValidationError) sorted() ValidationError {
	slices.SortStableFunc(e.Reported(), func(a, b gen.FieldError) int { return slices.Compare(a.Path, b.Path) })
	return e
}

// Code says what kind of error a RequestError is.
type Code string

// The codes.
const (
	CodeMalformed               Code = "malformed"                // the body is not one JSON value, or the query cannot be read
	CodeTimeout                 Code = "timeout"                  // the body did not arrive in time
	CodeUnsupportedMediaType    Code = "unsupported_media_type"   // the body is not declared as plain JSON
	CodeUnsupportedPrecondition Code = "unsupported_precondition" // the operation would ignore a precondition, or an idempotency key
)

// RequestError says that a request cannot be checked any further. Message is for the caller.
type RequestError struct {
	Code    Code
	Message string
}

// Error returns the message.
func (e *RequestError) Error() string { return e.Message }

var (
	errEmptyBody       = &RequestError{CodeMalformed, "The body is empty; send a JSON object."}
	errTrailingData    = &RequestError{CodeMalformed, "The body must be one JSON value; something follows it."}
	errTooDeep         = &RequestError{CodeMalformed, fmt.Sprintf("The body nests deeper than %d levels.", maxDepth)}
	errTruncatedBody   = &RequestError{CodeMalformed, "The body did not arrive whole."}
	errByteOrderMark   = &RequestError{CodeMalformed, "The body begins with a byte order mark; send UTF-8 without one."}
	errUTF16           = &RequestError{CodeMalformed, "The body is in UTF-16 or UTF-32; send UTF-8."}
	errCompressed      = &RequestError{CodeMalformed, "The body is compressed with gzip; send it uncompressed."}
	errQuery           = &RequestError{CodeMalformed, "The query cannot be read; separate parameters with &, and write a semicolon in a value as %3B and a percent sign as %25."}
	errBodyTimeout     = &RequestError{CodeTimeout, "The body did not arrive in time; send the request again."}
	errContentEncoding = &RequestError{CodeUnsupportedMediaType, "Send the body uncompressed, without the header Content-Encoding."}
	errIdempotencyKey  = &RequestError{CodeUnsupportedPrecondition, "This operation does not support " + idempotencyKey + ". Nothing was changed; send the request without that header."}
)

func errSyntax(what string, offset int64, where string) *RequestError {
	if where != "" {
		where = ", in " + where
	}
	return &RequestError{CodeMalformed, fmt.Sprintf("The body is not JSON: %s after byte %d%s.", what, offset, where)}
}

func errContentType(accepted []string) *RequestError {
	return &RequestError{CodeUnsupportedMediaType, "Send the body as JSON in UTF-8, with the header Content-Type: " + strings.Join(accepted, " or ") + "."}
}

func errPrecondition(header string) *RequestError {
	return &RequestError{CodeUnsupportedPrecondition, "This operation does not support the precondition " + header + ". Nothing was changed; send the request without that header."}
}

// fieldError returns an error at a path. It keeps the names of the path up to the first one that could be a value.
func fieldError(path []string, code, message, expected, received string) gen.FieldError {
	reported := []string{}
	for _, name := range path {
		if !isIdentifier(name) {
			break
		}
		reported = append(reported, name)
	}
	subject := "The body"
	if len(reported) > 0 {
		subject = strings.Join(reported, ".")
	}
	return gen.FieldError{Path: reported, Code: code, Message: subject + " " + message + ".", Expected: expected, Received: received}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// isIdentifier reports whether an error may repeat a name that a caller sent: it looks like a name. Anything else could be
// a value in the wrong place.
func isIdentifier(name string) bool { return len(name) <= 64 && identifier.MatchString(name) }

func nulCharacter(path []string) gen.FieldError {
	return fieldError(path, "nul_character", "must not contain the character U+0000", "text without U+0000", "text with U+0000")
}

func notUTF8(path []string) gen.FieldError {
	return fieldError(path, "invalid_format", "must be text in UTF-8", "text in UTF-8", "other bytes")
}

func duplicateProperty(name string) gen.FieldError {
	return fieldError([]string{name}, "duplicate_property", "is given more than once", "one value", "several values")
}

// unknownProperty suggests the property whose name differs in case, hyphens or underscores only; "" for none.
func unknownProperty(name, suggestion string) gen.FieldError {
	const expected, received = "the contract's properties", "another property"
	if !isIdentifier(name) {
		return fieldError(nil, "unknown_property", "has a property whose name the contract does not know", expected, received)
	}
	message := "is not a property of the contract"
	if suggestion != "" {
		message += "; did you mean " + suggestion
	}
	return fieldError([]string{name}, "unknown_property", message, expected, received)
}

func unknownParameter(name string) gen.FieldError {
	const expected, received = "the contract's parameters", "another parameter"
	if !isIdentifier(name) {
		return gen.FieldError{
			Path: []string{}, Code: "unknown_parameter", Message: "A query parameter has a name that the contract does not know.",
			Expected: expected, Received: received,
		}
	}
	return fieldError([]string{name}, "unknown_parameter", "is not a query parameter of this operation", expected, received)
}

func duplicateParameter(name string) gen.FieldError {
	return fieldError([]string{name}, "duplicate_parameter", "must be given once", "one value", "several values")
}

func invalidType(path []string, expected, received string) gen.FieldError {
	return fieldError(path, "invalid_type", fmt.Sprintf("must be %s, not %s", article(expected), article(received)), expected, received)
}

// invalidParameterType is invalidType for the text of a parameter, which has no type of its own.
func invalidParameterType(parameter *openapi3.Parameter) gen.FieldError {
	expected := typeName(parameter.Schema.Value)
	return fieldError([]string{parameter.Name}, "invalid_type", "must be "+article(expected), expected, "something else")
}

func required(path []string, expected string) gen.FieldError {
	return fieldError(path, "required", "is required", expected, "nothing")
}

func tooLong(path []string, maxLength uint64, length int) gen.FieldError {
	expected, received := fmt.Sprintf("at most %d characters", maxLength), fmt.Sprintf("%d characters", length)
	return fieldError(path, "too_long", fmt.Sprintf("must have %s; it has %s", expected, received), expected, received)
}

func outOfRange(path []string, schema *openapi3.Schema) gen.FieldError {
	expected := fmt.Sprintf("%s from %v to %v", typeName(schema), *schema.Min, *schema.Max)
	return fieldError(path, "out_of_range", "must be "+article(expected), expected, "another "+typeName(schema))
}

func invalidEnumValue(path []string, schema *openapi3.Schema, received string) gen.FieldError {
	var words []string
	for _, word := range schema.Enum {
		if word != nil {
			words = append(words, fmt.Sprintf("%q", word))
		}
	}
	expected := "one of " + strings.Join(words, ", ")
	if schema.Nullable {
		expected += ", or null"
	}
	return fieldError(path, "invalid_enum_value", "must be "+expected, expected, "another "+received)
}

func invalidUUID(path []string, received string) gen.FieldError {
	return fieldError(path, "invalid_uuid", "must be a UUID, in the form 3c90c3cc-0d44-4b50-8888-8dd25736052a", "UUID", received)
}

func invalidFormat(path []string, expected, received string) gen.FieldError {
	return fieldError(path, "invalid_format", "must be "+expected, expected, "another "+received)
}

// brokenRule is the error for a rule of JSON Schema that has no text of its own here.
func brokenRule(path []string, rule, received string) gen.FieldError {
	return fieldError(path, "invalid_format", fmt.Sprintf("breaks the contract's rule %q", rule), rule, "another "+received)
}

func typeName(schema *openapi3.Schema) string {
	name := "value"
	switch {
	case schema.Format == "uuid":
		name = "UUID"
	case schema.Type != nil:
		name = strings.Join(schema.Type.Slice(), " or ")
	}
	if schema.Nullable {
		name += " or null"
	}
	return name
}

func article(noun string) string {
	switch {
	case strings.HasPrefix(noun, "null"):
		return noun
	case strings.ContainsRune("aeiou", rune(noun[0])):
		return "an " + noun
	}
	return "a " + noun
}
