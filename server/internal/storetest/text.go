package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/gen/property"
)

func testText(t *testing.T, s *suite) {
	for name, sample := range map[string]string{
		"empty":               "",
		"spaces":              "  \t\r\n ",
		"quotes":              `'";\'' -- \" {} $1 ?1 %s`,
		"markup":              "<a href='x'>&amp;</a>\u2028",
		"4 bytes a character": "😀𝕏",
		"combining":           "e\u0301 \u200d\ufeff",
		"right to left":       "\u202eשלום",
		"controls":            "\x01\x1f\x7f\u0085",
		"last code point":     "\U0010ffff",
		"number and null":     "null",
	} {
		t.Run(name, func(t *testing.T) {
			org := s.tenant(t)
			var patch property.Patch
			for id, p := range property.Table {
				if p.Kind == property.TextKind && p.Enum == nil {
					patch.Values[id] = property.Text(sample)
				}
			}
			want, changes := org.create(property.Patch{}).With(&patch)
			record := org.update(want, patch)
			want.Version++
			equal(t, "record", org.find(record.CustomerID, record.ID), want)
			equal(t, "changes", org.history(record.ID)[1].Changes, changes)
		})
	}

	t.Run("the longest", func(t *testing.T) {
		org := s.tenant(t)
		var patch property.Patch
		for id, p := range property.Table {
			if p.MaxLength > 0 {
				patch.Values[id] = property.Text(strings.Repeat("😀", p.MaxLength))
			}
		}
		want, changes := org.create(property.Patch{}).With(&patch)
		record := org.update(want, patch)
		want.Version++
		equal(t, "record", org.find(record.CustomerID, record.ID), want)
		equal(t, "changes", org.history(record.ID)[1].Changes, changes)
	})

	t.Run("an empty text is not null", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		for n, to := range []property.Value{property.Text(""), property.Null, property.Text("")} {
			record = org.update(record, property.Patch{Values: property.Values{property.Notes: to}})
			equal(t, "notes", org.find(record.CustomerID, record.ID).Values[property.Notes], to)
			equal(t, "version", record.Version, int64(n+2))
		}
	})
}

func testClock(t *testing.T, s *suite) {
	t.Run("updatedAt follows the clock, in whole milliseconds and UTC", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		now := s.clock.Move(90*time.Minute + 999_999*time.Nanosecond)
		defer s.clock.Move(-999_999 * time.Nanosecond)
		next := org.update(record, set(property.City, "a"))
		equal(t, "updatedAt", next.UpdatedAt, now.Truncate(time.Millisecond))
		equal(t, "createdAt", next.CreatedAt, record.CreatedAt)
		read := org.find(record.CustomerID, record.ID)
		event := org.history(record.ID)[1]
		for what, at := range map[string]time.Time{"createdAt": read.CreatedAt, "updatedAt": read.UpdatedAt, "event": event.At} {
			if at.Location() != time.UTC {
				t.Errorf("%s is in %v, want UTC", what, at.Location())
			}
		}
		equal(t, "event", event.At, next.UpdatedAt)
	})

	t.Run("updatedAt never runs backwards", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		for n, step := range []time.Duration{time.Second, -time.Hour, time.Second, 2 * time.Hour, -time.Millisecond} {
			now := s.clock.Move(step)
			next := org.update(record, set(property.City, fmt.Sprint(n)))
			want := record.UpdatedAt
			if now.After(want) {
				want = now
			}
			equal(t, "updatedAt", next.UpdatedAt, want)
			equal(t, "version", next.Version, record.Version+1)
			events := org.history(record.ID)
			equal(t, "event", events[len(events)-1].At, want)
			record = next
		}
	})

	t.Run("nor does an import turn it back", func(t *testing.T) {
		org := s.tenant(t)
		record := org.create(property.Patch{})
		s.clock.Move(-time.Hour)
		next := org.createWithID(record.ID, set(property.City, "a"))
		equal(t, "updatedAt", next.UpdatedAt, record.UpdatedAt)
		equal(t, "createdAt", next.CreatedAt, record.CreatedAt)
		equal(t, "version", next.Version, int64(2))
	})

	for _, at := range []time.Time{time.Date(1970, 1, 1, 0, 0, 0, 1e6, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)} {
		t.Run(fmt.Sprint("a year as ", at.Year()), func(t *testing.T) {
			org := s.tenant(t)
			was := s.clock.Set(at)
			defer s.clock.Set(was)
			record := org.create(property.Patch{})
			equal(t, "createdAt", org.find(record.CustomerID, record.ID).CreatedAt, at)
		})
	}
}
