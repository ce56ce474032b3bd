package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
)

// Kind is what a column holds, whatever the store. A row has a value of one Go type for each kind, and nil for null.
type Kind uint8

// The kinds.
const (
	Integer Kind = iota // int64
	Text                // string, valid UTF-8
	Boolean             // bool
	Time                // time.Time in UTC, in whole milliseconds
	UUID                // [16]byte
	Bytes               // []byte
)

// TableColumn is a column of a Table.
type TableColumn struct {
	Name string
	Kind Kind
}

// Table is a table that every store has, as a copy of a database reads and writes it.
type Table struct {
	Name    string
	Key     int // how many of its first columns are a key, in whose order its rows are copied. Every store has the same order of numbers, bytes, and texts whose collation is C
	Columns []TableColumn
}

// The tables. A copy of a database has all of their rows.
var (
	Organizations = &Table{"organizations", 1, []TableColumn{
		{"id", Integer}, {"name", Text}, {"suspended", Boolean},
	}}
	APIKeys = &Table{"api_keys", 1, []TableColumn{
		{"hash", Bytes}, {"id", Text}, {"organization_id", Integer}, {"name", Text}, {"prefix", Text}, {"permissions", Text}, {"rate_limit", Integer},
		{"created_at", Time}, {"expires_at", Time}, {"revoked", Boolean}, {"revoked_at", Time}, {"last_used_at", Time}, {"successor", Text},
	}}
	Customers = &Table{"customers", 2, []TableColumn{
		{"organization_id", Integer}, {"id", UUID},
	}}
	PurgedCustomers = &Table{"purged_customers", 2, []TableColumn{
		{"organization_id", Integer}, {"id", UUID}, {"purged_at", Time},
	}}
	PurgedOrganizations = &Table{"purged_organizations", 1, []TableColumn{
		{"id", Integer}, {"purged_at", Time},
	}}
	PropertyNames = &Table{"property_names", 1, []TableColumn{
		{"number", Integer}, {"name", Text},
	}}
	Events = &Table{"provider_events", 3, []TableColumn{
		{"organization_id", Integer}, {"provider_id", UUID}, {"version", Integer}, {"at", Time}, {"action", Text},
		{"key_id", Text}, {"request_id", Text}, {"changes", Text},
	}}
	Providers = &Table{"providers", 2, append([]TableColumn{
		{"organization_id", Integer}, {"id", UUID}, {"customer_id", UUID}, {"version", Integer},
		{"created_at", Time}, {"updated_at", Time}, {"deleted", Boolean},
	}, propertyColumns()...)}
	IdempotencyKeys = &Table{"idempotency_keys", 2, []TableColumn{
		{"organization_id", Integer}, {"key", Bytes}, {"fingerprint", Bytes}, {"provider_id", UUID}, {"at", Time},
	}}
	Users = &Table{"users", 1, []TableColumn{
		{"email", Text}, {"id", Text}, {"operator", Boolean}, {"disabled", Boolean}, {"password_hash", Text}, {"attempts", Integer}, {"first_attempt_at", Time},
		{"link_hash", Bytes}, {"link_expires_at", Time}, {"created_at", Time}, {"signed_in_at", Time}, {"totp_secret", Text}, {"totp_step", Integer}, {"openid_subject", Text},
	}}
	RecoveryCodes = &Table{"recovery_codes", 2, []TableColumn{
		{"user_id", Text}, {"hash", Bytes},
	}}
	Memberships = &Table{"memberships", 2, []TableColumn{
		{"user_id", Text}, {"organization_id", Integer}, {"role", Text},
	}}
	Invitations = &Table{"invitations", 1, []TableColumn{
		{"hash", Bytes}, {"organization_id", Integer}, {"email", Text}, {"role", Text}, {"expires_at", Time},
	}}
)

// Tables are all of them, each after those that it refers to.
var Tables = []*Table{Organizations, PurgedOrganizations, APIKeys, Customers, PurgedCustomers, PropertyNames, Events, Providers, IdempotencyKeys, Users, RecoveryCodes, Memberships, Invitations}

// Omitted are the tables and the columns that a copy of a database leaves out, each with the reason.
var Omitted = map[string]string{
	VersionTable:               "the target has its own migrations",
	"write_probes":             "a server writes to it to see whether it can",
	"sessions":                 "people sign in again",
	"usage":                    "counts of requests, which start again",
	"rate_buckets":             "what is left of limits, which lasts a minute",
	"providers.row":            "SQLite's number of a row",
	"providers.last_event":     "the number of a row, which another database chooses itself",
	"provider_events.row":      "SQLite's number of a row",
	"provider_events.previous": "the number of a row, which another database chooses itself",
	"provider_events.record":   "the number of a row, which another database chooses itself",
	"provider_event_times":     "an index of SQLite's events, which the target has of its own",
}

func propertyColumns() (columns []TableColumn) {
	for id := range property.Table {
		kind := Text
		if property.Table[id].Kind == property.BooleanKind {
			kind = Boolean
		}
		columns = append(columns, TableColumn{Column(&property.Table[id]), kind})
	}
	return columns
}

// ColumnNames returns the names of the columns, quoted.
func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = Quote(t.Columns[i].Name)
	}
	return names
}

// CheckCopied fails if a database has something that a copy would lose: a table that is neither in Tables nor in Omitted, or such a
// column; or a column of another kind. Tables are given by name, their columns by name, each with its type as in Check.
func (d Dialect) CheckCopied(tables map[string]map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		i := slices.IndexFunc(Tables, func(t *Table) bool { return t.Name == name })
		if i < 0 && Omitted[name] == "" {
			return fmt.Errorf("a copy would lack the table %s; add it to schema.Tables, or to schema.Omitted with the reason", name)
		}
		if i < 0 {
			continue
		}
		if err := d.checkColumnsCopied(Tables[i], tables[name]); err != nil {
			return err
		}
	}
	return nil
}

func (d Dialect) checkColumnsCopied(t *Table, columns map[string]string) error {
	left := maps.Clone(columns)
	for _, c := range t.Columns {
		if got, _, _ := strings.Cut(columns[c.Name], " NOT NULL"); got != d.types[c.Kind] {
			return fmt.Errorf("a copy takes the column %s.%s for %s, and it is %q", t.Name, c.Name, d.types[c.Kind], got)
		}
		delete(left, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if Omitted[t.Name+"."+name] == "" {
			return fmt.Errorf("a copy would lack the column %s.%s, which this version of the program does not know", t.Name, name)
		}
	}
	return nil
}

// CopyMarker is a table that a database has while it is an incomplete copy of another one.
const CopyMarker = "carecycle_incomplete_copy"

// ErrIncompleteCopy means that a database has the table CopyMarker.
var ErrIncompleteCopy = errors.New("it is an incomplete copy of another database; run copy again to complete it, or name another database")

// ErrNotEmpty means that a database cannot become a copy of another one.
var ErrNotEmpty = errors.New("it has data, and was left as it is; copy to a new database")

// OrderedRows returns the statement that reads all rows of a table in the order of its key. Every store understands it.
func (t *Table) OrderedRows() string {
	names := t.ColumnNames()
	return "SELECT " + strings.Join(names, ", ") + " FROM " + t.Name + " ORDER BY " + strings.Join(names[:t.Key], ", ")
}
