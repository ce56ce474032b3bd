package client

import (
	"errors"

	"github.com/google/uuid"
)

// CustomerID identifies a customer. CustomerID(id) converts a uuid.UUID, and uuid.UUID(id) converts it back; ParseCustomerID reads text.
// It is not a ProviderID, so that a program which swaps the two does not compile. The zero CustomerID is the nil UUID, which the
// contract allows.
type CustomerID uuid.UUID

// ProviderID identifies a provider, as CustomerID does a customer.
type ProviderID uuid.UUID

// ParseCustomerID reads an ID from its 36 characters, in either case. Its error does not repeat the text.
func ParseCustomerID(text string) (CustomerID, error) {
	id, err := parseID(text)
	return CustomerID(id), err
}

// ParseProviderID reads an ID from its 36 characters, in either case. Its error does not repeat the text.
func ParseProviderID(text string) (ProviderID, error) {
	id, err := parseID(text)
	return ProviderID(id), err
}

func parseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, errors.New("the ID must be a UUID of 36 characters, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a")
	}
	return id, nil
}

// String returns the ID's 36 characters, in lower case.
func (id CustomerID) String() string { return uuid.UUID(id).String() }

// String returns the ID's 36 characters, in lower case.
func (id ProviderID) String() string { return uuid.UUID(id).String() }

// MarshalText implements [encoding.TextMarshaler], for JSON too.
func (id CustomerID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// MarshalText implements [encoding.TextMarshaler], for JSON too.
func (id ProviderID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements [encoding.TextUnmarshaler], for JSON too. See ParseCustomerID.
func (id *CustomerID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseCustomerID(string(text))
	return err
}

// UnmarshalText implements [encoding.TextUnmarshaler], for JSON too. See ParseProviderID.
func (id *ProviderID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseProviderID(string(text))
	return err
}
