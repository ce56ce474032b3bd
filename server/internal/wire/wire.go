// Package wire turns the contract's generated types into the domain's and back. It stands at both doors of the domain,
// the handlers and the import; beyond it nobody sees a type of package gen.
package wire

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/gen"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Patch returns the change that a validated request body asks for. It refers to u, which must not change afterwards.
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

// Creation returns the change that makes the record of a validated request body out of nothing.
func Creation(c *gen.ProviderCreate) provider.Patch {
	return provider.Patch{
		Type:              required((*provider.Type)(&c.ProviderType)),
		Specialty:         given(c.Specialty),
		ProviderName:      given(c.ProviderName),
		PracticeName:      given(c.PracticeName),
		NPI:               given(c.NPI),
		Phone:             given(c.Phone),
		Fax:               given(c.Fax),
		Email:             given(c.Email),
		Address:           given(c.Address),
		Address2:          given(c.Address2),
		City:              given(c.City),
		State:             given(c.State),
		PostalCode:        given(c.PostalCode),
		IsPrimaryProvider: given(c.IsPrimaryProvider),
		IsActive:          given(c.IsActive),
		Notes:             given(c.Notes),
	}
}

// given is a property of a new record: nil, absent or null, is no value.
func given[T any](v *T) provider.Field[*T] { return provider.Field[*T]{Set: true, Value: v} }

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

// AppendProvider appends a record as Provider's JSON to b and returns the longer b. Every answer to a change is one, so it
// is written by hand; a test holds it against Provider. It fails for text that is not Unicode.
func AppendProvider(b []byte, r *provider.Provider) (_ []byte, err error) {
	b = append(b, `{"id":"`...)
	b = append(b, r.ID.String()...)
	b = append(b, `","createdAt":"`...)
	b = r.CreatedAt.UTC().AppendFormat(b, timestampFormat)
	b = append(b, `","updatedAt":"`...)
	b = r.UpdatedAt.UTC().AppendFormat(b, timestampFormat)
	b = append(b, `","customerId":"`...)
	b = append(b, r.CustomerID.String()...)
	b = append(b, '"')
	property := func(name string, value *string) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		if value == nil {
			b = append(b, "null"...)
		} else if err == nil {
			b, err = jsontext.AppendQuote(b, *value)
		}
	}
	flag := func(name string, value *bool) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		if value == nil {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendBool(b, *value)
		}
	}
	property("providerType", (*string)(&r.Type))
	property("specialty", r.Specialty)
	property("providerName", r.ProviderName)
	property("practiceName", r.PracticeName)
	property("npi", r.NPI)
	property("phone", r.Phone)
	property("fax", r.Fax)
	property("email", r.Email)
	property("address", r.Address)
	property("address2", r.Address2)
	property("city", r.City)
	property("state", r.State)
	property("postalCode", r.PostalCode)
	flag("isPrimaryProvider", r.IsPrimaryProvider)
	flag("isActive", r.IsActive)
	property("notes", r.Notes)
	return append(b, '}'), err
}

// ProviderList returns a page of up to limit records. That there are more of them says that there is another page.
func ProviderList(records []provider.Provider, limit int) gen.ProviderList {
	page := gen.ProviderList{Data: make([]gen.Provider, 0, len(records))}
	if len(records) > limit {
		records = records[:limit]
		last := records[limit-1]
		page.NextCursor = new(cursor(provider.Position{CreatedAt: last.CreatedAt, ID: last.ID}))
	}
	for i := range records {
		page.Data = append(page.Data, Provider(&records[i]))
	}
	return page
}

// cursor writes a position: the milliseconds since 1970 and the ID.
func cursor(p provider.Position) string {
	bytes := binary.BigEndian.AppendUint64(nil, uint64(p.CreatedAt.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(bytes, p.ID[:]...))
}

// Position returns the position that a validated cursor of a list names. Who makes up a cursor gets a place in the
// list that no page ended at, and sees nothing that the list does not have.
func Position(cursor string) provider.Position {
	bytes, _ := base64.RawURLEncoding.DecodeString(cursor) // the contract has checked the form
	// A time far away from any record's keeps its order, and stays one that every store knows.
	at := min(max(int64(binary.BigEndian.Uint64(bytes)), 0), maxMilliseconds)
	return provider.Position{CreatedAt: time.UnixMilli(at).UTC(), ID: uuid.UUID(bytes[8:])}
}

const maxMilliseconds = 1 << 47 // in the year 6429

// HistoryList returns a page of up to limit events, the latest first. That there are more of them says that there is
// another page.
func HistoryList(events []provider.Event, limit int) gen.HistoryList {
	page := gen.HistoryList{Data: make([]gen.HistoryEntry, 0, len(events))}
	if len(events) > limit {
		events = events[:limit]
		page.NextCursor = new(strconv.FormatInt(events[limit-1].Version, 10))
	}
	for _, e := range events {
		entry := gen.HistoryEntry{
			Version: e.Version, At: *timestamp(e.At), Action: gen.HistoryAction(e.Action), KeyID: named(e.By.KeyID),
			RequestID: named(e.By.RequestID), Changes: make([]gen.PropertyChange, 0, len(e.Changes)),
		}
		for _, c := range e.Changes {
			entry.Changes = append(entry.Changes, gen.PropertyChange{Field: c.Field, From: c.From, To: c.To})
		}
		page.Data = append(page.Data, entry)
	}
	return page
}

// named is nil for an empty text.
func named(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// timestampFormat is ISO 8601 in UTC with milliseconds, the contract's form.
const timestampFormat = "2006-01-02T15:04:05.000Z"

func timestamp(t time.Time) *string {
	s := t.UTC().Format(timestampFormat)
	return &s
}

// ETag returns the strong entity tag of a record's version: `"7"`.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// ImportLine is one line of an import: a record's customer, type and whatever else is set, and its ID, a new one if it is
// left out; or a customer alone.
type ImportLine struct {
	ID *uuid.UUID `json:"id,omitempty"`
	gen.ProviderUpdate
}

// IsRecord reports whether the line has what a record needs.
func (l *ImportLine) IsRecord() bool { return l.CustomerID != nil && l.ProviderType != nil }

// IsCustomer reports whether the line has a customer and nothing else.
func (l *ImportLine) IsCustomer() bool {
	alone := ImportLine{ProviderUpdate: gen.ProviderUpdate{CustomerID: l.CustomerID}}
	return l.CustomerID != nil && *l == alone
}

// ExportLine is a record as a line of an import that gives all its properties the values that they have.
type ExportLine struct {
	gen.Provider
	CreatedAt struct{} `json:"createdAt,omitzero"` // these two are the store's to give, and stay out
	UpdatedAt struct{} `json:"updatedAt,omitzero"`
}
