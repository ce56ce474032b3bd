package sqlite

import (
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
)

// row is a provider as the file has it.
type row struct {
	provider.Provider
	rowID     int64
	lastEvent int64
}

// provider returns the record, nil if there is no row.
func (r *row) provider() *provider.Provider {
	if r == nil {
		return nil
	}
	return &r.Provider
}

// load returns the row of an ID, deleted or not; nil if there is none.
func load(c *sqlite.Conn, organization int64, id uuid.UUID) (*row, error) {
	statement, err := c.Prepare(selectProvider)
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	b := binder{statement: statement}
	b.int64(organization)
	b.uuid(id)
	found, err := statement.Step()
	if err != nil || !found {
		return nil, err
	}
	r, from := new(row), scanner{statement: statement}
	from.provider(&r.Provider)
	r.rowID = from.int64()
	r.lastEvent = from.int64()
	return r, nil
}

// find returns the record that a customer has under an ID.
func find(c *sqlite.Conn, organization int64, customer, id uuid.UUID) (*row, error) {
	r, err := load(c, organization, id)
	if err == nil && (r == nil || r.Deleted || r.CustomerID != customer) {
		err = provider.ErrNotFound
	}
	return r, err
}

// binder binds the parameters of a statement, one after the other.
type binder struct {
	statement *sqlite.Stmt
	bound     int
}

func (b *binder) next() int {
	b.bound++
	return b.bound
}

func (b *binder) int64(v int64)     { b.statement.BindInt64(b.next(), v) }
func (b *binder) uuid(id uuid.UUID) { b.statement.BindBytes(b.next(), id[:]) }
func (b *binder) bytes(v []byte)    { b.statement.BindBytes(b.next(), v) }
func (b *binder) bool(v bool)       { b.statement.BindBool(b.next(), v) }

func (b *binder) value(value property.Value) {
	if text, ok := value.Text(); ok {
		b.statement.BindText(b.next(), text)
	} else if flag, ok := value.Boolean(); ok {
		b.bool(flag)
	} else {
		b.statement.BindNull(b.next())
	}
}

// provider binds the columns that every write of a record sets. Those of filters come after them, if at all.
func (b *binder) provider(r *provider.Provider, lastEvent int64) {
	b.int64(r.Version)
	b.int64(r.UpdatedAt.UnixMilli())
	b.int64(lastEvent)
	for p := range r.Values {
		if !schema.InFilterIndex[p] {
			b.value(r.Values[p])
		}
	}
}

// filters binds the properties of the index providers_by_filter.
func (b *binder) filters(r *provider.Provider) {
	for p := range r.Values {
		if schema.InFilterIndex[p] {
			b.value(r.Values[p])
		}
	}
}

// scanner reads the columns of a row, one after the other.
type scanner struct {
	statement *sqlite.Stmt
	read      int
}

func (s *scanner) next() int {
	s.read++
	return s.read - 1
}

func (s *scanner) int64() int64    { return s.statement.ColumnInt64(s.next()) }
func (s *scanner) time() time.Time { return time.UnixMilli(s.int64()).UTC() }

func (s *scanner) uuid() (id uuid.UUID) {
	s.statement.ColumnBytes(s.next(), id[:])
	return id
}

// provider reads the columns of a record.
func (s *scanner) provider(r *provider.Provider) {
	r.ID, r.CustomerID, r.Version = s.uuid(), s.uuid(), s.int64()
	r.CreatedAt, r.UpdatedAt = s.time(), s.time()
	r.Deleted = s.int64() != 0
	for p := range r.Values {
		switch column := s.next(); {
		case s.statement.ColumnIsNull(column):
			r.Values[p] = property.Null
		case property.Table[p].Kind == property.BooleanKind:
			r.Values[p] = property.Boolean(s.statement.ColumnBool(column))
		default:
			r.Values[p] = property.Text(s.statement.ColumnText(column))
		}
	}
}
