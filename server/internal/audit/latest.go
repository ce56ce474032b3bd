package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/wire"
)

// Query asks for the latest lines of a trail that a filter selects.
type Query struct {
	Filter
	After    string // the Next of the part before, or "" for the first part
	Max      int    // entries in a part
	MaxBytes int64  // how much of the files a part reads; it can be a block more, or a compressed file

	// MaxCompressed is how many bytes a compressed file may have without compression. It can only be read from its beginning, so each
	// part that needs a line of it reads all that is before.
	MaxCompressed int64
}

// Part is what a Query finds.
type Part struct {
	Entries []Entry  // the latest first
	Next    string   // where the next part begins, or "" if this is the last one
	Reached string   // the time of the earliest line that was read, or ""
	Damaged int      // lines that are no entries
	Skipped []string // the names of rotated files that were left out: compressed ones that are larger than MaxCompressed, or damaged, and those that may not be read
}

// ErrNoPosition says that the trail does not have the place where a part begins, because the file has been removed since, for example.
var ErrNoPosition = errors.New("audit: the trail does not have this position")

// slack is how much earlier the time of a line can be than that of a line before it: an entry gets its time before it is written.
const slack = time.Minute

// Latest reads the file at a path, and those that logrotate has moved away from it, such as audit.log.1 or audit.log-20260501.gz, from the
// latest line back to the earliest. It finds the end of the time in question without reading all that is later.
//
// It rests for as long as it works, so that it takes half of a processor at most. A line that is being written is not read.
//
// Errors: ErrNoPosition, and the file system's.
func Latest(ctx context.Context, path string, q Query) (Part, error) {
	files, skipped, err := q.openAll(path)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return Part{}, err
	}
	selected, end, err := q.begin(files)
	if err != nil {
		return Part{}, err
	}
	s := search{Query: q, part: Part{Skipped: skipped}}
	for i, f := range selected {
		if i > 0 {
			end = f.size
			if selected[i-1].start < s.early() { // so every line of this file is too early
				return s.part, nil
			}
		}
		if more, err := s.read(ctx, f, end); err != nil || !more {
			return s.part, err
		}
	}
	return s.part, nil
}

// trailFile is an open file of a trail.
type trailFile struct {
	*os.File
	size       int64  // math.MaxInt64 if it is compressed
	start      string // the time of its first line, by which it is known, whatever its name is
	compressed bool
}

// openAll returns the files of a trail, the latest first, and the names of those that are left out. The caller closes the files, even if
// there is an error.
func (q *Query) openAll(path string) (files []trailFile, skipped []string, _ error) {
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		rest, ok := strings.CutPrefix(name.Name(), filepath.Base(path))
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '-' {
			continue
		}
		found := filepath.Join(filepath.Dir(path), name.Name())
		if slices.ContainsFunc(files, func(f trailFile) bool { return f.Name()+".gz" == found }) { // logrotate is writing it
			continue
		}
		f, err := q.openOne(found)
		switch {
		case errors.Is(err, errSkipped), errors.Is(err, fs.ErrPermission):
			skipped = append(skipped, name.Name())
		case errors.Is(err, fs.ErrNotExist): // nor a file that was moved away at this moment
		case err != nil:
			return files, nil, err
		default:
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b trailFile) int { return cmp.Compare(b.start, a.start) })
	return files, skipped, nil
}

var errSkipped = errors.New("the file is compressed, and too large or damaged")

// openOne opens a file. Its error is fs.ErrNotExist if the file has no line of a trail.
func (q *Query) openOne(path string) (_ trailFile, err error) {
	info, err := os.Stat(path) // before it is opened, which can wait if it is no file
	if err != nil || !info.Mode().IsRegular() {
		return trailFile{}, cmp.Or(err, fs.ErrNotExist)
	}
	f, err := os.Open(path)
	if err != nil {
		return trailFile{}, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if info, err = f.Stat(); err != nil {
		return trailFile{}, err
	}
	opened := trailFile{File: f, size: info.Size()}
	magic := make([]byte, len(gzipMagic))
	if _, err := f.ReadAt(magic, 0); err == nil && bytes.Equal(magic, gzipMagic) {
		err := opened.uncompress(q.MaxCompressed)
		return opened, err
	}
	beginning := trailFile{File: f, size: min(opened.size, 2*block)} // of a large file that may be anything
	opened.start, err = beginning.timeAfter(0)
	if err == nil && opened.start == "" {
		err = fs.ErrNotExist
	}
	return opened, err
}

// uncompress completes a compressed file. It fails with errSkipped for one that is not to be read.
func (f *trailFile) uncompress(limit int64) error {
	last := make([]byte, 4) // of the size, as gzip writes it at the end
	if _, err := f.ReadAt(last, f.size-int64(len(last))); err != nil || int64(binary.LittleEndian.Uint32(last)) > limit {
		return errSkipped
	}
	beginning := io.NewSectionReader(f, 0, f.size)
	_, err := readLines(beginning, func(_ []byte, e *Entry, _ int64) error {
		f.start = e.Time
		return errEnough
	})
	f.compressed, f.size = true, math.MaxInt64
	switch {
	case err == errEnough:
		return nil
	case err == nil:
		return fs.ErrNotExist
	}
	return errSkipped
}

// errEnough ends the reading of a file.
var errEnough = errors.New("what follows is not needed")

// timeAfter returns the time of the first line that begins at an offset or after it, or "" if there is none. A line that is longer than
// a block does not count.
func (f *trailFile) timeAfter(offset int64) (string, error) {
	lines := bufio.NewReaderSize(io.NewSectionReader(f, offset, f.size-offset), block)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return "", nil
		case err != nil && err != bufio.ErrBufferFull:
			return "", err
		}
		if e, ok := parseLine(line); ok {
			return e.Time, nil
		}
	}
}

// begin returns the files that a part reads, and where it begins in the first of them.
func (q *Query) begin(files []trailFile) (_ []trailFile, end int64, err error) {
	if q.After != "" {
		start, offset, _ := strings.Cut(q.After, "/")
		end, err := strconv.ParseInt(offset, 10, 64)
		i := slices.IndexFunc(files, func(f trailFile) bool { return f.start == start })
		if err != nil || i < 0 || end < 0 || end > files[i].size {
			return nil, 0, ErrNoPosition
		}
		return files[i:], end, nil
	}
	if q.Until.IsZero() {
		if len(files) > 0 {
			end = files[0].size
		}
		return files, end, nil
	}
	late := q.Until.Add(slack).UTC().Format(wire.TimeFormat)
	for len(files) > 0 && files[0].start >= late {
		files = files[1:]
	}
	switch {
	case len(files) == 0:
	case files[0].compressed:
		end = files[0].size
	default:
		end, err = files[0].find(late)
	}
	return files, end, err
}

// find returns a place after which there are only lines of a time and later, and no more than a few blocks of them before it.
func (f *trailFile) find(late string) (end int64, err error) {
	blocks := int(f.size / block)
	i := sort.Search(blocks, func(i int) bool {
		at, failed := f.timeAfter(int64(i) * block)
		err = cmp.Or(err, failed)
		return at == "" || at >= late
	})
	return min(int64(i+1)*block, f.size), err
}

// block is how much is read at once, in bytes. Lines are shorter: 64 KB are the IDs of 1,600 records.
const block = 256 << 10

// search is a Query and what it has found so far.
type search struct {
	Query
	part  Part
	bytes int64 // that were read
}

// isFull reports whether the part has all that it may have.
func (s *search) isFull() bool { return len(s.part.Entries) == s.Max || s.bytes >= s.MaxBytes }

// early returns the time before which no line is of interest, or "".
func (s *search) early() string {
	if s.Since.IsZero() {
		return ""
	}
	return s.Since.Add(-slack).UTC().Format(wire.TimeFormat)
}

// read reads a file from a place back to its beginning, and reports whether to go on with the file before it.
func (s *search) read(ctx context.Context, f trailFile, end int64) (more bool, err error) {
	if f.compressed && !s.isFull() {
		return s.readCompressed(ctx, f, end)
	}
	buffer := make([]byte, block)
	for end > 0 {
		if s.isFull() {
			s.part.Next = f.position(end)
			return false, nil
		}
		began, start := time.Now(), max(0, end-block)
		text := buffer[:end-start]
		if _, err := f.ReadAt(text, start); err != nil {
			return false, err
		}
		s.bytes += end - start
		rest, more := s.lines(text, start == 0)
		if !more {
			return false, nil
		}
		end = start + int64(rest)
		if err := pause(ctx, began); err != nil {
			return false, err
		}
	}
	return true, nil
}

// position returns where a part begins.
func (f *trailFile) position(end int64) string { return fmt.Sprintf("%s/%d", f.start, end) }

// pause waits as long as the work has taken since it began.
func pause(ctx context.Context, began time.Time) error {
	select {
	case <-time.After(time.Since(began)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readCompressed is read for a compressed file. It reads from the beginning to the place, and keeps the latest entries.
func (s *search) readCompressed(ctx context.Context, f trailFile, end int64) (more bool, err error) {
	var found []Entry
	var ends []int64     // of the lines of found
	var left, read int64 // where the last line ends that is left for another part, and the last one that was read
	began := time.Now()
	damaged, err := readLines(io.NewSectionReader(f, 0, math.MaxInt64), func(_ []byte, e *Entry, at int64) error {
		switch {
		case at > end:
			return errEnough
		case at > s.MaxCompressed:
			return errSkipped
		}
		if s.Matches(e) {
			found, ends = append(found, *e), append(ends, at)
		}
		if len(found) > s.Max-len(s.part.Entries) {
			left, found, ends = ends[0], found[1:], ends[1:]
		}
		if at/block == read/block {
			read = at
			return nil
		}
		read = at
		err := pause(ctx, began)
		began = time.Now()
		return err
	})
	s.bytes += read
	switch {
	case ctx.Err() != nil || errors.As(err, new(*fs.PathError)):
		return false, err
	case err != nil && err != errEnough:
		s.part.Skipped = append(s.part.Skipped, filepath.Base(f.Name()))
		return true, nil
	}
	s.part.Damaged += damaged
	s.part.Reached = f.start
	if left > 0 {
		s.part.Next, s.part.Reached = f.position(left), found[0].Time
	}
	slices.Reverse(found)
	s.part.Entries = append(s.part.Entries, found...)
	return left == 0, nil
}

// lines reads the lines of a block from the last one back to the first, whose beginning is in the block before if isFirst is false. It
// returns the length of the text before them, and false if everything before is too early.
func (s *search) lines(text []byte, isFirst bool) (rest int, more bool) {
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	begin := 0
	if !isFirst {
		begin = bytes.IndexByte(text, '\n') + 1
		if begin == len(text) { // a line that no trail writes
			s.part.Damaged++
			return 0, true
		}
	}
	early := s.early()
	for len(text) > begin && len(s.part.Entries) < s.Max {
		i := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		e, ok := parseLine(text[i:])
		text = text[:i]
		if !ok {
			s.part.Damaged++
			continue
		}
		if e.Time < early {
			return 0, false
		}
		s.part.Reached = e.Time
		if s.Matches(&e) {
			s.part.Entries = append(s.part.Entries, e)
		}
	}
	return len(text), true
}
