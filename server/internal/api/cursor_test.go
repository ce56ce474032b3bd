package api

import (
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// A cursor leads back to the record where its page ended, and any text of a cursor's form is some position.
func TestListCursor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var records []provider.Provider
		for range rapid.IntRange(1, 3).Draw(r, "records") {
			at := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(r, "at")).UTC()
			records = append(records, provider.Provider{ID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "id")), CreatedAt: at})
		}
		limit := max(1, len(records)-rapid.IntRange(0, 1).Draw(r, "left over"))
		page, cursor := listPage(records, limit)
		if len(page) != limit || (cursor == "") != (limit == len(records)) {
			r.Fatalf("a page of %d out of %d, limit %d, cursor %q", len(page), len(records), limit, cursor)
		}
		if last := page[limit-1]; cursor != "" {
			if got := parseListCursor(&cursor); !got.CreatedAt.Equal(last.CreatedAt) || got.ID != last.ID {
				r.Errorf("got %v, want that of %v", got, last)
			}
		}
		parseListCursor(new(rapid.StringMatching("[A-Za-z0-9_-]{32}").Draw(r, "made up")))
	})
}
