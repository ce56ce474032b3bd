package validate

import (
	"fmt"
	"slices"

	"github.com/carecycle/provider-api/gen"
)

// ValidationError is everything in a request that breaks the contract, sorted by path: the contract's VALIDATION_ERROR.
// It holds no submitted value.
type ValidationError []gen.FieldError

// maxFaults bounds how many faults are told: a body of nothing but mistakes would otherwise be answered with megabytes.
const maxFaults = 100

// Error returns a summary for a person.
func (f ValidationError) Error() string {
	switch {
	case len(f) == 1:
		return "The request has a fault: " + f[0].Message
	case len(f) > maxFaults:
		return fmt.Sprintf("The request has %d faults; the first %d are listed.", len(f), maxFaults)
	}
	return fmt.Sprintf("The request has %d faults; all are listed.", len(f))
}

// Listed returns the faults that an answer lists: all of them, up to a hundred.
func (f ValidationError) Listed() []gen.FieldError { return f[:min(len(f), maxFaults)] }

func (f ValidationError) sorted() ValidationError {
	slices.SortStableFunc(f, func(a, b gen.FieldError) int { return slices.Compare(a.Path, b.Path) })
	return f
}

// MalformedError says that a body is not one JSON value: the contract's BAD_REQUEST. The text is for the caller and holds
// no submitted value.
type MalformedError string

// Error returns the text.
func (m MalformedError) Error() string { return string(m) }

// MediaTypeError says that a body is not announced as plain JSON: the contract's UNSUPPORTED_MEDIA_TYPE. The text is for
// the caller and holds no submitted value.
type MediaTypeError string

// Error returns the text.
func (m MediaTypeError) Error() string { return string(m) }
