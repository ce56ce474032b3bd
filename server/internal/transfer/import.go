// Package transfer imports providers from a file, one JSON object a line, into a store, and exports them. It is the operator's way to the
// domain, as package api is the callers': the same contract decides what is valid.
package transfer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// maxLine is the length of the longest line, in bytes, without its end.
const maxLine = validate.MaxBody

// Lines are parsed, and records stored in a transaction, by so many, or so many bytes of lines if that is less.
const (
	chunkLines = 2000
	chunkBytes = 4 << 20
)

// Importer imports lines of NDJSON for one organization.
type Importer struct {
	Store        provider.Store                // not for Check
	Organization int64                         // not for Check
	Invalid      func(line int, reason string) // called for each line that is not imported; the reason holds no value
	Progress     func(lines int)               // called now and then, with how many lines are checked or stored so far

	schemas schemas
}

// NewImporter returns an Importer of the lines that a contract allows.
func NewImporter(contract *openapi3.T) (*Importer, error) {
	schemas, err := newSchemas(contract)
	if err != nil {
		return nil, err
	}
	return &Importer{schemas: schemas, Invalid: func(int, string) {}, Progress: func(int) {}}, nil
}

// Result counts the lines of an import. Blank lines do not count.
type Result struct {
	Records   provider.ImportCount
	Customers int // lines with a customer alone
	Invalid   int
}

// Check reads every line and imports none.
func (i *Importer) Check(ctx context.Context, lines io.Reader) (Result, error) {
	var result Result
	checked := 0
	err := i.read(ctx, lines, func(c chunk) error {
		i.report(c, &result)
		checked += len(c.records) + len(c.customers) + len(c.invalid)
		i.Progress(checked)
		return nil
	})
	return result, err
}

// Import imports the valid lines. A line with an ID creates or updates that record. A line without one creates a record whose
// ID is derived from the values of the line, and changes nothing if that record exists: an import that was cut short is
// completed by running it again. The result counts what is stored, also next to an error.
//
// Records are imported in about the order of their customers; see [byCustomer]. Two transactions are in flight at once, so that a store that
// is a process of its own runs one while the next is prepared. Lines about the same record are applied in their order.
func (i *Importer) Import(ctx context.Context, lines io.Reader) (result Result, err error) {
	var (
		order        byCustomer
		older, newer *pendingChunk
	)
	storeNext := func() error {
		if err := cmp.Or(older.finish(&result), ctx.Err()); err != nil {
			return err
		}
		older, newer = newer, nil
		records := order.next()
		if older.shares(records) {
			if err := older.finish(&result); err != nil {
				return err
			}
		}
		// Customers come first, and on their own: two transactions that create the same one wait for each other.
		if _, err := i.Store.Import(ctx, i.Organization, nil, customersOf(records)); err != nil {
			return err
		}
		i.Progress(result.Records.Records() + result.Customers)
		newer = i.store(ctx, records)
		return nil
	}
	err = i.read(ctx, lines, func(c chunk) error {
		i.report(c, &result)
		if len(c.customers) > 0 {
			if _, err := i.Store.Import(ctx, i.Organization, nil, c.customers); err != nil {
				return err
			}
			result.Customers += len(c.customers)
		}
		for _, record := range c.records {
			order.add(record)
		}
		for order.isFull() {
			if err := storeNext(); err != nil {
				return err
			}
		}
		return nil
	})
	for err == nil && !order.isEmpty() {
		err = storeNext()
	}
	for _, last := range []*pendingChunk{older, newer} {
		if failed := last.finish(&result); err == nil {
			err = failed
		}
	}
	if err == nil {
		err = ctx.Err() // canceled at the last moment
	}
	return result, err
}

// pendingChunk are records that are being stored.
type pendingChunk struct {
	ids  map[uuid.UUID]bool
	done chan stored // closed and empty once the outcome is counted
}

type stored struct {
	count provider.ImportCount
	err   error
}

func (i *Importer) store(ctx context.Context, records []provider.Import) *pendingChunk {
	s := &pendingChunk{ids: make(map[uuid.UUID]bool, len(records)), done: make(chan stored, 1)}
	for _, record := range records {
		s.ids[record.ID] = true
	}
	go func() {
		count, err := i.Store.Import(ctx, i.Organization, records, nil)
		s.done <- stored{count, err}
		close(s.done)
	}()
	return s
}

// shares reports whether it has one of the records.
func (s *pendingChunk) shares(records []provider.Import) bool {
	return s != nil && slices.ContainsFunc(records, func(record provider.Import) bool { return s.ids[record.ID] })
}

// finish waits until the records are stored, and counts them, once.
func (s *pendingChunk) finish(result *Result) error {
	if s == nil {
		return nil
	}
	outcome := <-s.done
	result.Records = result.Records.Plus(outcome.count)
	return outcome.err
}

// chunk is what some lines hold.
type chunk struct {
	records   []importedLine
	customers []uuid.UUID // named alone
	invalid   []invalidLine
}

type invalidLine struct {
	number int
	reason string
}

func (c *chunk) refuse(number int, reason string) {
	c.invalid = append(c.invalid, invalidLine{number, reason})
}

func customersOf(records []provider.Import) (customers []uuid.UUID) {
	for _, record := range records {
		customers = append(customers, *record.Patch.CustomerID)
	}
	return customers
}

// report reports the invalid lines of a chunk, and counts them.
func (i *Importer) report(c chunk, result *Result) {
	for _, line := range c.invalid {
		i.Invalid(line.number, line.reason)
	}
	result.Invalid += len(c.invalid)
}

// read reads all lines, parses them on every processor and hands them to f in chunks, in their order. It ends with f's
// first error, and when ctx is done.
func (i *Importer) read(ctx context.Context, lines io.Reader, f func(chunk) error) error {
	ctx, stop := context.WithCancel(ctx)
	parts, failed := make(chan chan chunk, runtime.GOMAXPROCS(0)), make(chan error, 1)
	go func() {
		defer close(parts)
		failed <- split(lines, func(lines []line) error {
			parsed := make(chan chunk, 1)
			select {
			case parts <- parsed:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() { parsed <- i.parseChunk(lines) }()
			return nil
		})
	}()
	defer func() {
		stop()
		for range parts { // until the goroutine that reads lines has ended
		}
	}()
	for parsed := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(<-parsed); err != nil {
			return err
		}
	}
	return <-failed
}

// line is one that is not blank.
type line struct {
	number int
	text   []byte // nil if it is too long
}

// split reads all lines and hands them to f in chunks. It ends with f's first error.
func split(lines io.Reader, f func([]line) error) error {
	reader := bufio.NewReaderSize(lines, maxLine+len("\r\n"))
	var group []line
	size := 0
	for number := 1; ; number++ {
		text, err := readLine(reader)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read line %d: %w", number, err)
		}
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(text) > maxLine {
			group = append(group, line{number, nil})
		} else if text = bytes.Trim(text, " \t\r\n"); len(text) > 0 { // what JSON takes for space
			group = append(group, line{number, bytes.Clone(text)})
			size += len(text)
		}
		if len(group) == chunkLines || size >= chunkBytes || err == io.EOF && len(group) > 0 {
			if err := f(group); err != nil {
				return err
			}
			group, size = nil, 0
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

func (i *Importer) parseChunk(lines []line) (c chunk) {
	for _, line := range lines {
		if line.text == nil {
			c.refuse(line.number, fmt.Sprintf("it is longer than %d bytes", maxLine))
			continue
		}
		parsed, err := i.schemas.parse(line.text)
		switch {
		case err != nil:
			c.refuse(line.number, reason(err))
		case parsed.isCustomer():
			c.customers = append(c.customers, *parsed.patch.CustomerID)
		default:
			record := provider.Import{Patch: parsed.patch, KeepExisting: parsed.id == nil}
			if parsed.id != nil {
				record.ID = *parsed.id
			} else {
				record.ID = deriveID(i.Organization, &parsed.patch)
			}
			c.records = append(c.records, importedLine{record, len(line.text)})
		}
	}
	return c
}

func reason(err error) string {
	var faults validate.ValidationError
	text := ""
	if !errors.As(err, &faults) {
		text = err.Error()
	}
	for n, fault := range faults.Reported() {
		if n > 0 {
			text += " "
		}
		text += fault.Message
	}
	return strings.ReplaceAll(text, "The body", "The line") // what validate calls it
}
