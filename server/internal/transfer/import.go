// Package transfer imports providers from a file, one JSON object a line, into a store, and exports them. It is the counterpart of
// package api for operators: the same contract decides what is valid.
package transfer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
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

// How many lines are parsed at once, and records stored in a transaction, and how many bytes of lines if that is less.
const (
	chunkLines = 4000
	chunkBytes = 4 << 20
)

// Importer imports lines of NDJSON for one organization.
type Importer struct {
	Store        provider.Store                // not for Check
	Organization int64                         // not for Check
	Invalid      func(line int, reason string) // called for each line that is not imported; the reason contains no value

	// Progress is called now and then, with how many lines are checked or stored so far, and how many bytes of the file they take.
	Progress func(lines int, bytes int64)

	schemas schemas
}

// NewImporter returns an Importer of the lines that a contract allows.
func NewImporter(contract *openapi3.T) (*Importer, error) {
	schemas, err := newSchemas(contract)
	if err != nil {
		return nil, err
	}
	return &Importer{schemas: schemas, Invalid: func(int, string) {}, Progress: func(int, int64) {}}, nil
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
	checked, bytes := 0, int64(0)
	err := i.read(ctx, lines, func(c chunk) error {
		i.report(c, &result)
		checked += len(c.records) + len(c.customers) + len(c.invalid)
		bytes += c.length
		i.Progress(checked, bytes)
		return nil
	})
	return result, err
}

// Import imports the valid lines of a file. A line with an ID creates or updates that record. A line without one creates a record whose
// ID is derived from the values of the line, and changes nothing if that record exists: an interrupted import is
// completed by running it again. The result counts what is stored, even if there is an error.
//
// Half a million records at a time are imported in the order of their customers: their lines are read once to sort them, and again to
// import them. Lines about the same record are applied in their order.
func (i *Importer) Import(ctx context.Context, file io.ReaderAt) (result Result, err error) {
	var (
		records []position
		bytes   int64
	)
	storeRecords := func() error {
		sortByCustomer(records)
		err := i.storeInOrder(ctx, file, records, &result, &bytes)
		records = records[:0]
		return err
	}
	err = i.read(ctx, io.NewSectionReader(file, 0, math.MaxInt64), func(c chunk) error {
		i.report(c, &result)
		if len(c.customers) > 0 {
			if _, err := i.Store.Import(ctx, i.Organization, nil, c.customers); err != nil {
				return err
			}
			result.Customers += len(c.customers)
		}
		bytes += c.length - lengthOf(c.records)
		records = append(records, c.records...)
		if len(records) < maxSorted {
			return nil
		}
		return storeRecords()
	})
	if err == nil {
		err = storeRecords()
	}
	if err == nil {
		err = ctx.Err() // canceled after the last chunk
	}
	return result, err
}

// storeInOrder stores records in transactions, of which two are in flight at once: one is prepared while the store works on the other.
func (i *Importer) storeInOrder(ctx context.Context, file io.ReaderAt, records []position, result *Result, bytes *int64) error {
	var (
		older, newer *pendingChunk
		err          error
	)
	for err == nil && len(records) > 0 {
		n := nextChunk(records)
		if err = cmp.Or(older.finish(result, bytes), ctx.Err()); err != nil {
			break
		}
		older, newer = newer, nil
		if older.shares(records[:n]) {
			err = older.finish(result, bytes)
		}
		if err == nil {
			i.Progress(result.Records.Records()+result.Customers, *bytes)
			newer = i.store(ctx, file, records[:n])
			records = records[n:]
		}
	}
	err = cmp.Or(err, older.finish(result, bytes), newer.finish(result, bytes))
	i.Progress(result.Records.Records()+result.Customers, *bytes)
	return err
}

// pendingChunk are records that are being stored.
type pendingChunk struct {
	ids    map[uuid.UUID]bool
	length int64       // of their lines
	done   chan stored // closed and empty once the outcome is counted
}

type stored struct {
	count provider.ImportCount
	err   error
}

func (i *Importer) store(ctx context.Context, file io.ReaderAt, lines []position) *pendingChunk {
	s := &pendingChunk{ids: make(map[uuid.UUID]bool, len(lines)), length: lengthOf(lines), done: make(chan stored, 1)}
	for _, line := range lines {
		s.ids[line.id] = true
	}
	go func() {
		defer close(s.done)
		records, err := i.parseAgain(file, lines)
		if err != nil {
			s.done <- stored{err: err}
			return
		}
		count, err := i.Store.Import(ctx, i.Organization, records, nil)
		s.done <- stored{count, err}
	}()
	return s
}

// shares reports whether it has one of the records.
func (s *pendingChunk) shares(lines []position) bool {
	return s != nil && slices.ContainsFunc(lines, func(line position) bool { return s.ids[line.id] })
}

// finish waits until the records are stored, and counts them, once.
func (s *pendingChunk) finish(result *Result, bytes *int64) error {
	if s == nil {
		return nil
	}
	outcome, first := <-s.done
	if first {
		result.Records = result.Records.Plus(outcome.count)
		*bytes += s.length
	}
	return outcome.err
}

// parseAgain returns the records of lines that were valid when they were sorted.
func (i *Importer) parseAgain(file io.ReaderAt, lines []position) ([]provider.Import, error) {
	records := make([]provider.Import, len(lines))
	for n, line := range lines {
		text := make([]byte, line.length)
		if read, err := file.ReadAt(text, line.offset); read < len(text) {
			return nil, fmt.Errorf("read the file again: %w", err)
		}
		record, isCustomer, err := i.parse(text)
		if err != nil || isCustomer || record.ID != line.id {
			return nil, errors.New("the file was changed while it was imported")
		}
		records[n] = record
	}
	return records, nil
}

// chunk is the content of some lines.
type chunk struct {
	records   []position
	customers []uuid.UUID // without a record
	invalid   []invalidLine
	length    int64 // in bytes, with what is between the lines
}

type invalidLine struct {
	number int
	reason string
}

func (c *chunk) refuse(number int, reason string) {
	c.invalid = append(c.invalid, invalidLine{number, reason})
}

// lengthOf returns how many bytes the lines take.
func lengthOf(lines []position) (all int64) {
	for _, line := range lines {
		all += int64(line.length)
	}
	return all
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
func (i *Importer) read(ctx context.Context, file io.Reader, f func(chunk) error) error {
	ctx, stop := context.WithCancel(ctx)
	parts, failed := make(chan chan chunk, runtime.GOMAXPROCS(0)), make(chan error, 1)
	go func() {
		defer close(parts)
		failed <- split(file, func(lines []line, length int64) error {
			parsed := make(chan chunk, 1)
			select {
			case parts <- parsed:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() { parsed <- i.parseChunk(lines, length) }()
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
	offset int64
	text   []byte // nil if it is too long
}

const (
	byteOrderMark = "\ufeff"
	space         = " \t\r\n" // what JSON takes for it
)

// split reads all lines and hands them to f in chunks, with the length of what was read for each. It ends with f's first error.
func split(file io.Reader, f func(lines []line, length int64) error) error {
	reader := bufio.NewReaderSize(file, maxLine+len("\r\n"))
	var (
		group         []line
		size          int
		offset, begin int64
	)
	for number := 1; ; number++ {
		text, length, err := readLine(reader)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read line %d: %w", number, err)
		}
		next := line{number: number, offset: offset}
		offset += int64(length)
		if len(text) > maxLine {
			group = append(group, next)
		} else {
			start := 0
			if number == 1 && bytes.HasPrefix(text, []byte(byteOrderMark)) {
				start = len(byteOrderMark)
			}
			start += len(text[start:]) - len(bytes.TrimLeft(text[start:], space))
			if next.text = bytes.Clone(bytes.TrimRight(text[start:], space)); len(next.text) > 0 {
				next.offset += int64(start)
				group = append(group, next)
				size += len(next.text)
			}
		}
		if len(group) == chunkLines || size >= chunkBytes || err == io.EOF && len(group) > 0 {
			if err := f(group, offset-begin); err != nil {
				return err
			}
			group, size, begin = nil, 0, offset
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line without its end, and its length with it. It returns more than maxLine bytes of a line that is longer. The
// last one comes with io.EOF.
func readLine(reader *bufio.Reader) (line []byte, length int, err error) {
	line, err = reader.ReadSlice('\n')
	length = len(line)
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			line, err = reader.ReadSlice('\n')
			length += len(line)
		}
		return make([]byte, maxLine+1), length, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), length, err
}

func (i *Importer) parseChunk(lines []line, length int64) chunk {
	c := chunk{length: length}
	for _, line := range lines {
		if line.text == nil {
			c.refuse(line.number, fmt.Sprintf("it is longer than %d bytes", maxLine))
			continue
		}
		record, isCustomer, err := i.parse(line.text)
		switch {
		case err != nil:
			c.refuse(line.number, reason(err))
		case isCustomer:
			c.customers = append(c.customers, *record.Patch.CustomerID)
		default:
			c.records = append(c.records, position{id: record.ID, customer: *record.Patch.CustomerID, offset: line.offset, length: len(line.text)})
		}
	}
	return c
}

// parse returns the record of a line, or its customer if it has nothing else.
func (i *Importer) parse(text []byte) (record provider.Import, isCustomer bool, err error) {
	parsed, err := i.schemas.parse(text)
	if err != nil {
		return record, false, err
	}
	record.Patch, record.KeepExisting = parsed.patch, parsed.id == nil
	if parsed.isCustomer() {
		return record, true, nil
	}
	if parsed.id != nil {
		record.ID = *parsed.id
	} else {
		record.ID = deriveID(i.Organization, &parsed.patch)
	}
	return record, false, nil
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
