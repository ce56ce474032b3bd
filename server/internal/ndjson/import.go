// Package ndjson reads providers from a file, one JSON object a line, into a store, and writes them to one. It is the
// operator's door to the domain, beside the API's: the same contract decides what is valid.
package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// maxLine is the length of the longest line, in bytes, without its end.
const maxLine = validate.MaxBody

// chunk is how many lines a transaction takes.
const chunk = 2000

// Importer imports lines of NDJSON for one organization.
type Importer struct {
	Properties   *validate.Schema // of a line; see validate.ImportLine
	Record       *validate.Schema // of a line that is a record
	Store        provider.Store
	Organization int64
	Invalid      func(line int, reason string) // is told of each line that is not imported; the reason holds no value
}

// Result counts what became of the lines of an import. Blank lines do not count.
type Result struct {
	Imported  int // records
	Customers int // named alone
	Invalid   int
}

// Check reads every line and imports none.
func (i *Importer) Check(lines io.Reader) (Result, error) {
	var result Result
	err := i.read(lines, func(p part) error {
		i.tell(p, &result)
		return nil
	})
	return result, err
}

// Import imports the valid lines. A line with an ID that the organization knows changes that record. A line without
// one makes a record whose ID follows from the line, and leaves one that it made before as it is by now: an import that
// was cut short is completed by running it again. The result counts what is safely stored, also beside an error.
func (i *Importer) Import(ctx context.Context, lines io.Reader) (Result, error) {
	var result Result
	ctx, stop := context.WithCancel(ctx)
	parts, failed := make(chan part), make(chan error, 1)
	go func() {
		defer close(parts)
		failed <- i.read(lines, func(p part) error {
			select {
			case parts <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() {
		stop()
		for range parts { // until nobody reads lines any more
		}
	}()
	for p := range parts {
		i.tell(p, &result)
		if err := i.Store.Import(ctx, i.Organization, p.records, p.customers); err != nil {
			return result, err
		}
		result.Imported += len(p.records)
		result.Customers += len(p.customers)
	}
	return result, <-failed
}

// part is what a transaction takes, and the invalid lines among it.
type part struct {
	records   []provider.Import
	customers []uuid.UUID
	invalid   []invalidLine
}

type invalidLine struct {
	number int
	reason string
}

func (p *part) size() int { return len(p.records) + len(p.customers) + len(p.invalid) }

func (p *part) refuse(number int, reason string) {
	p.invalid = append(p.invalid, invalidLine{number, reason})
}

// tell reports the invalid lines of a part, and counts them.
func (i *Importer) tell(p part, result *Result) {
	for _, line := range p.invalid {
		i.Invalid(line.number, line.reason)
	}
	result.Invalid += len(p.invalid)
}

// read reads all lines and hands them to f in parts. It ends with f's first error.
func (i *Importer) read(lines io.Reader, f func(part) error) error {
	reader := bufio.NewReaderSize(lines, maxLine+len("\r\n"))
	var p part
	for number := 1; ; number++ {
		line, err := readLine(reader)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read line %d: %w", number, err)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) > maxLine {
			p.refuse(number, fmt.Sprintf("it is longer than %d bytes", maxLine))
		} else if line = bytes.TrimSpace(line); len(line) > 0 {
			i.add(&p, number, line)
		}
		if p.size() == chunk || err == io.EOF && p.size() > 0 {
			if err := f(p); err != nil {
				return err
			}
			p = part{}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line without its end, and more than maxLine bytes of one that is longer. The last one comes
// with io.EOF.
func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			_, err = reader.ReadSlice('\n')
		}
		return make([]byte, maxLine+1), err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), err
}

func (i *Importer) add(p *part, number int, line []byte) {
	parsed, err := i.parse(line)
	switch {
	case err != nil:
		p.refuse(number, reason(err))
	case parsed.IsCustomer():
		p.customers = append(p.customers, *parsed.CustomerID)
	default:
		one := provider.Import{Patch: wire.Patch(&parsed.ProviderUpdate)}
		if parsed.ID != nil {
			one.ID = *parsed.ID
		} else {
			one.ID, one.KeepExisting = i.idOf(line), true
		}
		p.records = append(p.records, one)
	}
}

// parse returns a line that is a record or a customer. What it refuses breaks the schema of a record too, which tells
// all that is wrong.
func (i *Importer) parse(line []byte) (*wire.ImportLine, error) {
	if i.Properties.Check(line) != nil {
		return nil, i.Record.Check(line)
	}
	parsed := new(wire.ImportLine)
	if err := json.Unmarshal(line, parsed); err != nil {
		return nil, validate.Malformed("it cannot be read") // the cause quotes the line
	}
	if !parsed.IsCustomer() && !parsed.IsRecord() {
		return nil, i.Record.Check(line)
	}
	return parsed, nil
}

// idOf returns a UUID of version 8 (RFC 9562, 5.8) that follows from the organization and the line.
func (i *Importer) idOf(line []byte) uuid.UUID {
	hash := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, uint64(i.Organization)), line...))
	id := uuid.UUID(hash[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

func reason(err error) string {
	var faults validate.Faults
	text := ""
	if !errors.As(err, &faults) {
		text = err.Error()
	}
	for n, fault := range faults.Listed() {
		if n > 0 {
			text += " "
		}
		text += fault.Message
	}
	return strings.ReplaceAll(text, "The body", "The line") // what validate calls it
}
