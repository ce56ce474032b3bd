package transfer

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// TestSortByCustomer sorts lines of records: each comes out once, those with the same ID in the order of their lines, and apart from
// those the order is that of the customers.
func TestSortByCustomer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var lines []position
		for n := range rapid.IntRange(0, 50).Draw(t, "lines") {
			lines = append(lines, position{
				id:       uuid.UUID{rapid.ByteRange(0, 9).Draw(t, "id")},
				customer: uuid.UUID{rapid.ByteRange(0, 5).Draw(t, "customer")},
				offset:   int64(n),
			})
		}
		sorted := slices.Clone(lines)
		sortByCustomer(sorted)
		byID := slices.Clone(sorted)
		slices.SortStableFunc(byID, func(a, b position) int { return bytes.Compare(a.id[:], b.id[:]) })
		slices.SortStableFunc(lines, func(a, b position) int { return bytes.Compare(a.id[:], b.id[:]) })
		if !slices.EqualFunc(byID, lines, func(a, b position) bool { return a.id == b.id && a.offset == b.offset }) {
			t.Fatalf("the order by ID is %v, want %v", byID, lines)
		}
		if !slices.IsSortedFunc(sorted, func(a, b position) int {
			return cmp.Or(cmp.Compare(a.round, b.round), bytes.Compare(a.customer[:], b.customer[:]))
		}) {
			t.Fatalf("not in the order of customers: %v", sorted)
		}
	})
}

func TestNextChunk(t *testing.T) {
	t.Parallel()
	long := position{length: chunkBytes / 2}
	for _, tt := range []struct {
		name  string
		lines []position
		want  int
	}{
		{"none", nil, 0},
		{"few", make([]position, 3), 3},
		{"many", make([]position, chunkLines+1), chunkLines},
		{"long ones", []position{long, long, long}, 2},
		{"one that is longer", []position{{length: 2 * chunkBytes}, long}, 1},
	} {
		if got := nextChunk(tt.lines); got != tt.want {
			t.Errorf("%s: %d lines share a transaction, want %d", tt.name, got, tt.want)
		}
	}
}
