package storetest

import (
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testIfMatch(t *testing.T, s *suite) {
	for _, c := range []struct {
		name    string
		ifMatch []int64
		unknown bool          // the record, which is at version 3 otherwise
		want    provider.Code // of a change of nothing, and of a change
	}{
		{name: "none is given", ifMatch: nil},
		{name: "the version", ifMatch: []int64{3}},
		{name: "several, one of them the version", ifMatch: []int64{1, 3, 7}},
		{name: "an older version", ifMatch: []int64{2}, want: provider.CodePreconditionFailed},
		{name: "a version to come", ifMatch: []int64{4}, want: provider.CodePreconditionFailed},
		{name: "several, none of them the version", ifMatch: []int64{1, 2, 4}, want: provider.CodePreconditionFailed},
		{name: "an empty list matches none", ifMatch: []int64{}, want: provider.CodePreconditionFailed},
		{name: "what is not found has no version", ifMatch: []int64{1}, unknown: true, want: provider.CodeNotFound},
		{name: "what is not found has no version, not even of none", ifMatch: []int64{}, unknown: true, want: provider.CodeNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			org := s.tenant(t)
			record := org.create(property.Patch{})
			for _, city := range []string{"two", "three"} {
				record = org.update(record, set(property.City, city))
			}
			asked := record
			if c.unknown {
				asked.ID = uuid.New()
			}
			for _, patch := range []property.Patch{{}, set(property.City, "four")} {
				u := org.updateOf(asked, patch)
				u.IfMatch = c.ifMatch
				got, err := s.Write(t.Context(), u)
				if CodeOrText(err) != c.want {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				if err == nil {
					record = got
				}
			}
			if c.want == "" {
				equal(t, "version", record.Version, int64(4))
				record = org.recreate(record, 3)
				asked = record
			}
			org.unchanged(record)

			w := org.deleteOf(asked)
			w.IfMatch = c.ifMatch
			got, err := s.Write(t.Context(), w)
			if CodeOrText(err) != c.want {
				t.Fatalf("delete: error %v, want %q", err, c.want)
			}
			if err == nil {
				equal(t, "version", got.Version, int64(4))
				org.notFound(record.CustomerID, record.ID)
			} else {
				org.unchanged(record)
			}
		})
	}
}
