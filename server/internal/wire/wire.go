// Package wire turns the contract's generated types into the domain's and back. It stands at both doors of the domain,
// the handlers and the import; beyond it nobody sees a type of package gen.
package wire

import (
	"strconv"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// Patch returns the change that a validated request body asks for. It refers to the body, which must not change afterwards.
func Patch(u *gen.ProviderUpdate) provider.Patch {
	return provider.Patch{
		CustomerID:        required(u.CustomerID),
		Type:              required((*provider.Type)(u.ProviderType)),
		Specialty:         nullable(&u.Specialty),
		ProviderName:      nullable(&u.ProviderName),
		PracticeName:      nullable(&u.PracticeName),
		NPI:               nullable(&u.NPI),
		Phone:             nullable(&u.Phone),
		Fax:               nullable(&u.Fax),
		Email:             nullable(&u.Email),
		Address:           nullable(&u.Address),
		Address2:          nullable(&u.Address2),
		City:              nullable(&u.City),
		State:             nullable(&u.State),
		PostalCode:        nullable(&u.PostalCode),
		IsPrimaryProvider: nullable(&u.IsPrimaryProvider),
		IsActive:          nullable(&u.IsActive),
		Notes:             nullable(&u.Notes),
	}
}

// required is a property that cannot be null: nil is absent.
func required[T any](v *T) provider.Field[T] {
	if v == nil {
		return provider.Field[T]{}
	}
	return provider.Field[T]{Set: true, Value: *v}
}

func nullable[T any](f *gen.Field[T]) provider.Field[*T] {
	if !f.Set {
		return provider.Field[*T]{}
	}
	return provider.Field[*T]{Set: true, Value: f.Pointer()}
}

// Provider returns a record as the contract shows it.
func Provider(r *provider.Provider) gen.Provider {
	return gen.Provider{
		ID:                r.ID,
		CreatedAt:         timestamp(r.CreatedAt),
		UpdatedAt:         timestamp(r.UpdatedAt),
		CustomerID:        r.CustomerID,
		ProviderType:      gen.ProviderType(r.Type),
		Specialty:         r.Specialty,
		ProviderName:      r.ProviderName,
		PracticeName:      r.PracticeName,
		NPI:               r.NPI,
		Phone:             r.Phone,
		Fax:               r.Fax,
		Email:             r.Email,
		Address:           r.Address,
		Address2:          r.Address2,
		City:              r.City,
		State:             r.State,
		PostalCode:        r.PostalCode,
		IsPrimaryProvider: r.IsPrimaryProvider,
		IsActive:          r.IsActive,
		Notes:             r.Notes,
	}
}

// timestamp writes ISO 8601 in UTC with milliseconds, the contract's form.
func timestamp(t time.Time) *string {
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}

// ETag returns the strong entity tag of a record's version: `"7"`.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// ImportLine is one line of an import: a change whose customer and type are required, and the record's ID, a new
// one if it is left out.
type ImportLine struct {
	ID *uuid.UUID `json:"id,omitempty"`
	gen.ProviderUpdate
}
