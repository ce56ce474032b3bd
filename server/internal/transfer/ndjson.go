package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// schemas are those of a line. line accepts most lines at once. record also accepts a record as the API returns it, and reports
// everything that is wrong with any other line.
type schemas struct{ line, record *validate.Schema }

// newSchemas derives the schemas from the contract. line is ProviderUpdate with an optional id. record also requires customerId and
// the properties that ProviderCreate requires, and allows the times of a response.
func newSchemas(contract *openapi3.T) (s schemas, err error) {
	create, update := contract.Components.Schemas["ProviderCreate"], contract.Components.Schemas["ProviderUpdate"]
	if create == nil || update == nil {
		return s, errors.New("the contract lacks the schema ProviderCreate or ProviderUpdate")
	}
	line := *update.Value
	line.Properties = maps.Clone(line.Properties)
	line.Properties["id"] = openapi3.NewSchemaRef("", openapi3.NewUUIDSchema())
	record := line
	record.Properties = maps.Clone(line.Properties)
	for _, time := range []string{"createdAt", "updatedAt"} {
		record.Properties[time] = openapi3.NewSchemaRef("", openapi3.NewDateTimeSchema())
	}
	record.Required = append([]string{"customerId"}, create.Value.Required...)
	if s.line, err = validate.NewSchema(&line); err != nil {
		return s, err
	}
	s.record, err = validate.NewSchema(&record)
	return s, err
}

// parsedLine is the customer of a record, its ID if the line has one, and the other properties that the line sets; or a customer
// alone.
type parsedLine struct {
	id    *uuid.UUID
	patch property.Patch
}

// isCustomer reports whether the line has a customer and nothing else.
func (l *parsedLine) isCustomer() bool {
	return l.patch.CustomerID != nil && l.id == nil && l.patch.Values == property.Values{}
}

// isRecord reports whether the line has what every record must have.
func (l *parsedLine) isRecord() bool {
	for p := range property.Table {
		if l.patch.Values[p].IsAbsent() && !property.Table[p].Nullable {
			return false
		}
	}
	return l.patch.CustomerID != nil
}

// parse returns a line that is a record or a customer.
func (s schemas) parse(line []byte) (*parsedLine, error) {
	if object, err := s.line.Check(line); err == nil {
		parsed, err := decode(object)
		if err != nil || parsed.isRecord() || parsed.isCustomer() {
			return parsed, err
		}
	}
	object, err := s.record.Check(line)
	if err != nil {
		return nil, err
	}
	return decode(object)
}

func decode(object validate.Checked) (*parsedLine, error) {
	parsed := new(parsedLine)
	for name, value := range object.All() {
		if name == "createdAt" || name == "updatedAt" { // the store's to set
			continue
		}
		if name == "id" {
			id, ok := wire.ParseUUID(value)
			if !ok {
				return nil, errors.New("it cannot be read")
			}
			parsed.id = &id
		} else if !wire.Set(&parsed.patch, name, value) {
			return nil, errors.New("it cannot be read")
		}
	}
	return parsed, nil
}

// deriveID returns a UUID of version 8 (RFC 9562, 5.8) that is derived from the organization and the values of a line, independent of
// their order and notation.
func deriveID(organization int64, patch *property.Patch) uuid.UUID {
	values := patch.Values
	for p := range values {
		if values[p].IsNull() { // as in a line without the property
			values[p] = property.Value{}
		}
	}
	text := binary.BigEndian.AppendUint64(nil, uint64(organization))
	text = appendCustomer(text, *patch.CustomerID)
	text, _ = wire.AppendProperties(text, &values) // which fails for invalid UTF-8 only; the line is valid
	hash := sha256.Sum256(text)
	id := uuid.UUID(hash[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// appendRecord appends the line of a record: without the times, which are the store's to set. It fails for text that is not valid
// UTF-8.
func appendRecord(b []byte, r *provider.Provider) ([]byte, error) {
	b = append(b, `{"id":"`...)
	b = append(b, r.ID.String()...)
	b = append(b, `","customerId":"`...)
	b = append(b, r.CustomerID.String()...)
	b = append(b, '"')
	return wire.AppendProperties(b, &r.Values)
}

// appendCustomer appends the start of a line with a customer.
func appendCustomer(b []byte, customer uuid.UUID) []byte {
	b = append(b, `{"customerId":"`...)
	b = append(b, customer.String()...)
	return append(b, '"')
}
