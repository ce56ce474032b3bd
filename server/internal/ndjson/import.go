// Package ndjson reads providers from a file, one JSON object a line, into a store. It is the operator's door to the
// domain, beside the API's: the same contract decides what is valid.
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

// maxLine is the length of the longest line, in bytes.
const maxLine = validate.MaxBody

// chunk is how many records a transaction takes.
const chunk = 500

// Importer imports lines of NDJSON for one organization.
type Importer struct {
	Schema       *validate.Schema // of a line
	Store        provider.Store
	Organization int64
	Invalid      func(line int, reason string) // is told of each line that is not imported; the reason holds no value
}

// Result counts what became of the lines of an import. Blank lines do not count.
type Result struct {
	Imported int
	Invalid  int
}

// Check reads every line and imports none.
func (i *Importer) Check(lines io.Reader) (Result, error) {
	var result Result
	err := i.each(lines, &result, func(provider.Import) error { return nil })
	return result, err
}

// Import imports the valid lines. A line with an ID that the organization knows changes that record. A line without
// one makes a record whose ID follows from the line, and leaves one that it made before as it is by now: an import that
// was cut short is completed by running it again. The result counts what is safely stored, also beside an error.
func (i *Importer) Import(ctx context.Context, lines io.Reader) (Result, error) {
	var result Result
	pending := make([]provider.Import, 0, chunk)
	flush := func() error {
		if err := i.Store.Import(ctx, i.Organization, pending); err != nil {
			return err
		}
		result.Imported += len(pending)
		pending = pending[:0]
		return ctx.Err()
	}
	err := i.each(lines, &result, func(one provider.Import) error {
		if pending = append(pending, one); len(pending) == chunk {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return result, err
}

func (i *Importer) each(lines io.Reader, result *Result, valid func(provider.Import) error) error {
	reader := bufio.NewReaderSize(lines, maxLine)
	for number := 1; ; number++ {
		line, err := reader.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			result.Invalid++
			i.Invalid(number, fmt.Sprintf("it is longer than %d bytes", maxLine))
			for err == bufio.ErrBufferFull {
				_, err = reader.ReadSlice('\n')
			}
			line = nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read line %d: %w", number, err)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			one, invalid := i.parse(line)
			if invalid != nil {
				result.Invalid++
				i.Invalid(number, reason(invalid))
			} else if err := valid(one); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (i *Importer) parse(line []byte) (provider.Import, error) {
	if err := i.Schema.Check(line); err != nil {
		return provider.Import{}, err
	}
	var parsed wire.ImportLine
	if err := json.Unmarshal(line, &parsed); err != nil {
		return provider.Import{}, validate.Malformed("it cannot be read") // the cause quotes the line
	}
	one := provider.Import{ID: i.idOf(line), Patch: wire.Patch(&parsed.ProviderUpdate), KeepExisting: true}
	if parsed.ID != nil {
		one.ID, one.KeepExisting = *parsed.ID, false
	}
	return one, nil
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
