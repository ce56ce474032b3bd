package transfer

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// maxSorted is how many records are sorted at a time. Each takes 64 bytes of memory, twice that while the slice grows.
const maxSorted = 1 << 19

// position is the line of a record: where it is in the file, and what its turn depends on.
type position struct {
	id, customer uuid.UUID
	offset       int64 // of its first byte
	length       int
	round        int
}

// sortByCustomer sorts the records by customer, so that a transaction writes to a few neighbouring pages of most indexes, and not to as many
// pages as it has records. Records with the same ID keep the order of their lines: the second one waits until all records had their turn
// once, the third one until they had it twice.
func sortByCustomer(lines []position) {
	slices.SortFunc(lines, func(a, b position) int {
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.offset, b.offset))
	})
	for n := 1; n < len(lines); n++ {
		if lines[n].id == lines[n-1].id {
			lines[n].round = lines[n-1].round + 1
		}
	}
	slices.SortFunc(lines, func(a, b position) int {
		return cmp.Or(cmp.Compare(a.round, b.round), bytes.Compare(a.customer[:], b.customer[:]), cmp.Compare(a.offset, b.offset))
	})
}

// nextChunk returns how many of the lines share the next transaction.
func nextChunk(lines []position) int {
	size := 0
	for n := range lines {
		if n == chunkLines || size >= chunkBytes {
			return n
		}
		size += lines[n].length
	}
	return len(lines)
}
