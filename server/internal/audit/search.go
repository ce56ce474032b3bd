package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"time"

	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Filter selects lines. The zero value selects all of them.
type Filter struct {
	Record       *uuid.UUID // also lines about everything of an organization
	Customer     *uuid.UUID
	Key          string
	Operation    string
	Organization string // its name, or the one that it gets; also lines about every organization
	Number       int64  // the organization's; no line without it, and none of a command, which only operators see
	Since, Until time.Time
}

// Matches reports whether the filter selects an entry. Until is the first time that it does not.
func (f *Filter) Matches(e *Entry) bool {
	everywhere := e.Everything && e.OrganizationName == ""
	return (f.Record == nil || e.Everything || slices.Contains(e.Records, *f.Record)) &&
		(f.Customer == nil || e.Everything && e.Customer == nil || e.Customer != nil && *e.Customer == *f.Customer) &&
		(f.Key == "" || e.Key == f.Key || e.NewKey == f.Key) &&
		(f.Operation == "" || e.Operation == f.Operation) &&
		(f.Organization == "" || everywhere || e.OrganizationName == f.Organization || e.NewName == f.Organization) &&
		(f.Number == 0 || e.Organization == f.Number && e.Operator == "") &&
		(f.Since.IsZero() || e.Time >= f.Since.UTC().Format(wire.TimeFormat)) &&
		(f.Until.IsZero() || e.Time < f.Until.UTC().Format(wire.TimeFormat))
}

// maxLine bounds a line, in bytes. The longest that a Trail writes has the IDs of a page.
const maxLine = 1 << 20

// Read calls f for each line of a trail, which can be compressed by gzip. It returns how many lines are not entries, such as one that a
// full disk has cut off. It stops at f's first error and returns it. The line is valid until f returns.
func Read(r io.Reader, f func(line []byte, e *Entry) error) (damaged int, err error) {
	return readLines(r, func(line []byte, e *Entry, _ int64) error { return f(line, e) })
}

// readLines is like Read, and also passes the offset where the line ends, in the trail without compression.
func readLines(r io.Reader, f func(line []byte, e *Entry, end int64) error) (damaged int, err error) {
	buffered := bufio.NewReader(r)
	if magic, _ := buffered.Peek(len(gzipMagic)); bytes.Equal(magic, gzipMagic) {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return 0, err
		}
		buffered = bufio.NewReader(unzipped)
	}
	lines := bufio.NewScanner(buffered)
	lines.Buffer(nil, maxLine)
	var end int64
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, line, err := bufio.ScanLines(data, atEOF)
		end += int64(advance)
		return advance, line, err
	})
	for lines.Scan() {
		e, ok := parseLine(lines.Bytes())
		if !ok {
			damaged++
			continue
		}
		if err := f(lines.Bytes(), &e, end); err != nil {
			return damaged, err
		}
	}
	return damaged, lines.Err()
}

// gzipMagic is the start of a compressed file.
var gzipMagic = []byte{0x1f, 0x8b}

// parseLine returns the entry of a line, and false if it has none.
func parseLine(line []byte) (e Entry, ok bool) {
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Time != ""
}
