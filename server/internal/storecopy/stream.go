package storecopy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/google/uuid"
)

// item is a row of a table. The zero item stands for the end.
type item struct {
	table *schema.Table
	row   []any
}

// batchSize is how many rows are read while the ones before are used.
const batchSize = 500

// stream is all rows of a database, which a goroutine reads.
type stream struct {
	batches <-chan batch
	left    batch
	read    int64
	stop    func() // returns when the database is not read any more
}

type batch struct {
	items []item
	err   error // errEnd after the last row
}

var (
	errEnd     = errors.New("storecopy: there are no more rows")
	errStopped = errors.New("it was stopped; run it again to go on")
)

// start starts to read a database. stop must be called before the database is used otherwise. In errors it has the name.
func start(ctx context.Context, name string, s Source) *stream {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan batch, 2)
	go func() {
		defer close(batches)
		var next batch
		send := func() bool {
			select {
			case batches <- next:
				next = batch{items: make([]item, 0, batchSize)}
				return true
			case <-ctx.Done():
				return false
			}
		}
		for one, err := range all(ctx, s) {
			if err != nil {
				next.err = fmt.Errorf("read the %s: %w", name, err)
				break
			}
			if next.items = append(next.items, one); len(next.items) == batchSize && !send() {
				return
			}
		}
		next.err = cmp.Or(next.err, errEnd)
		send()
	}()
	stop := func() {
		cancel()
		for range batches { // until it is closed
		}
	}
	return &stream{batches: batches, stop: stop}
}

// next returns the next row, the zero item after the last one.
func (s *stream) next() (item, error) {
	for len(s.left.items) == 0 {
		if s.left.err == errEnd {
			return item{}, nil
		}
		if s.left.err != nil {
			return item{}, s.left.err
		}
		more := false
		if s.left, more = <-s.batches; !more {
			s.left.err = errStopped
		}
	}
	one := s.left.items[0]
	s.left.items = s.left.items[1:]
	s.read++
	return one, nil
}

// all returns all rows of a database, those of each table in the order of its key, the events of a record before the record.
func all(ctx context.Context, s Source) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		read := map[*schema.Table]int64{}
		for _, t := range schema.Tables {
			if t == schema.Events { // come with their records
				continue
			}
			rows := tableItems(ctx, s, t)
			if t == schema.Providers {
				rows = recordItems(ctx, s)
			}
			for one, err := range rows {
				read[one.table]++
				if !yield(one, err) || err != nil {
					return
				}
			}
		}
		for _, t := range schema.Tables {
			n, err := s.Count(ctx, t)
			if err == nil && n != read[t] {
				err = fmt.Errorf("%d rows of %s belong to no record; see verify", n-read[t], t.Name)
			}
			if err != nil {
				yield(item{}, err)
				return
			}
		}
	}
}

func tableItems(ctx context.Context, s Source, t *schema.Table) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for row, err := range s.Rows(ctx, t) {
			if !yield(item{t, row}, err) {
				return
			}
		}
	}
}

// recordItems returns the records, each after its events.
func recordItems(ctx context.Context, s Source) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		nextEvent, stop := iter.Pull2(s.Rows(ctx, schema.Events))
		defer stop()
		event, err, more := nextEvent()
		for record, recordErr := range s.Rows(ctx, schema.Providers) {
			if err = cmp.Or(err, recordErr); err != nil {
				break
			}
			for more && err == nil && compareRecords(event, record) == 0 {
				if !yield(item{schema.Events, event}, nil) {
					return
				}
				event, err, more = nextEvent()
			}
			if err != nil || more && compareRecords(event, record) < 0 {
				break
			}
			if !yield(item{schema.Providers, record}, nil) {
				return
			}
		}
		if err == nil && more {
			err = fmt.Errorf("the %s belongs to no record; see verify", item{schema.Events, event})
		}
		if err != nil {
			yield(item{}, err)
		}
	}
}

// compareRecords compares the IDs of records that rows of events and records begin with.
func compareRecords(a, b []any) int {
	idA, idB := a[1].([16]byte), b[1].([16]byte)
	return cmp.Or(cmp.Compare(a[0].(int64), b[0].(int64)), bytes.Compare(idA[:], idB[:]))
}

func (i item) equal(other item) bool {
	if i.table != other.table || len(i.row) != len(other.row) {
		return false
	}
	for c := range i.row {
		if !equal(i.row[c], other.row[c]) {
			return false
		}
	}
	return true
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, same := b.([]byte)
		return same && bytes.Equal(a, b)
	case time.Time:
		b, same := b.(time.Time)
		return same && a.Equal(b)
	}
	if _, isBytes := b.([]byte); isBytes {
		return false
	}
	return a == b
}

// orElse returns the item, or the other one if it is the end.
func (i item) orElse(other item) item {
	if i.row == nil {
		return other
	}
	return i
}

// String names the row by its key, which has no value of a record.
func (i item) String() string {
	var key []string
	for _, value := range i.row[:i.table.Key] {
		switch value := value.(type) {
		case [16]byte:
			key = append(key, uuid.UUID(value).String())
		case []byte:
			key = append(key, fmt.Sprintf("%x…", value[:min(4, len(value))]))
		default:
			key = append(key, fmt.Sprint(value))
		}
	}
	return "row of " + i.table.Name + " (" + strings.Join(key, ", ") + ")"
}
