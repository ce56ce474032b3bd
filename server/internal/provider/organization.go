package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Organization is one of a store's.
type Organization struct {
	Number    int64
	Name      string
	Suspended bool // its keys are refused; nothing else changes
}

const maxNameLength = 100 // characters

// ParseName returns the name of an organization or of a key, without blanks around it. It rejects a name that is empty or too long,
// or would disturb a list.
func ParseName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if name == "" || utf8.RuneCountInString(name) > maxNameLength || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
		return "", fmt.Errorf("it must be 1 to %d printable characters", maxNameLength)
	}
	return name, nil
}

// ErrNameTaken is the error of a new name that is another organization's.
var ErrNameTaken = errors.New("another organization has this name")

// ConfusableError is the error of a name that looks like that of an existing organization.
type ConfusableError struct{ Existing string }

// Error names the existing organization.
func (e *ConfusableError) Error() string {
	return fmt.Sprintf("the name looks like that of the existing organization %q", e.Existing)
}

// FindOrganization returns the number of the organization of that name, as it is or in its normal form, and the name.
//
// Errors: CodeNoOrganization.
func FindOrganization(ctx context.Context, s Store, name string) (number int64, found string, err error) {
	for _, found = range []string{name, normalName(name)} {
		if number, err = s.FindOrganization(ctx, found); err != nil || number != 0 {
			return number, found, err
		}
	}
	return 0, "", ErrNoOrganization
}

// EnsureOrganization returns the number of the organization of that name, and the name. It creates one, under the normal form of the
// name, if there is none. Unless isNew is true, it creates none whose name looks like an existing one: that would be a typing error.
// It is the one way to create an organization by a name that a person has typed.
//
// Errors: ConfusableError.
func EnsureOrganization(ctx context.Context, s Store, name string, isNew bool) (number int64, found string, created bool, err error) {
	number, found, err = FindOrganization(ctx, s, name)
	if CodeOf(err) != CodeNoOrganization {
		return number, found, false, err
	}
	if !isNew {
		if err := checkConfusable(ctx, s, name, 0); err != nil {
			return 0, "", false, err
		}
	}
	found = normalName(name)
	number, created, err = s.EnsureOrganization(ctx, found)
	return number, found, created, err
}

// RenameOrganization gives the organization of that number another name, in its normal form, and returns that.
//
// Errors: ConfusableError for a name that is or looks like that of another organization; ErrNameTaken if another process takes it at
// the same moment.
func RenameOrganization(ctx context.Context, s Store, number int64, to string) (string, error) {
	to = normalName(to)
	if err := checkConfusable(ctx, s, to, number); err != nil {
		return "", err
	}
	return to, s.RenameOrganization(ctx, number, to)
}

// checkConfusable fails if a name looks like that of an existing organization other than the one of that number.
func checkConfusable(ctx context.Context, s Store, name string, except int64) error {
	all, err := s.ListOrganizations(ctx)
	if err != nil {
		return err
	}
	looks := looksOf(name)
	for _, existing := range all {
		if others := looksOf(existing.Name); existing.Number != except && (others[0] == looks[0] || others[1] == looks[1]) {
			return &ConfusableError{existing.Name}
		}
	}
	return nil
}

// normalName returns a name in Unicode's normal form C, with single spaces between its words.
func normalName(name string) string { return strings.Join(strings.Fields(norm.NFC.String(name)), " ") }

// looksOf returns what a person sees of a name, if case, blanks and invisible characters do not count. Names look alike if one of
// the two agrees. The first sees that ACME is acme, the second that AcmeI, with a capital i, is Acmel.
func looksOf(name string) [2]string {
	fold := cases.Fold()
	name = strings.Join(strings.Fields(norm.NFKC.String(name)), "")
	return [2]string{confusable.Skeleton(fold.String(name)), fold.String(confusable.Skeleton(name))}
}
