package transfer

import (
	"bytes"
	"cmp"
	"container/heap"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// So many records wait for their turn, or so many bytes of lines if that is less.
const (
	maxWaiting      = 1 << 15
	maxWaitingBytes = 16 << 20
)

// byCustomer brings records close to the order of their customers, whatever the order of the lines, and however many there are: a
// transaction then writes to a few neighbouring pages of most indexes, and not to as many pages as it has records. It is replacement
// selection (Knuth, volume 3, 5.4.1): a round takes the waiting records in the order of their customers, and those that come too late
// for it wait for the next one.
//
// Records with the same ID stay in the order of their lines. The zero value has no records.
type byCustomer struct {
	waiting waitingHeap
	bytes   int // of their lines
	added   int
	round   int
	last    uuid.UUID         // the customer whose turn it was
	rounds  map[uuid.UUID]int // of the last waiting record with an ID
}

// importedLine is a record and the length of its line.
type importedLine struct {
	provider.Import
	bytes int
}

func (l *importedLine) customer() uuid.UUID { return *l.Patch.CustomerID }

func (o *byCustomer) add(line importedLine) {
	w := &waitingLine{importedLine: line, number: o.added, round: o.round}
	if customer := line.customer(); bytes.Compare(customer[:], o.last[:]) < 0 {
		w.round++
	}
	if o.rounds == nil {
		o.rounds = map[uuid.UUID]int{}
	}
	if before, waits := o.rounds[line.ID]; waits {
		w.round = max(w.round, before+1)
	}
	o.rounds[line.ID] = w.round
	o.added++
	o.bytes += line.bytes
	heap.Push(&o.waiting, w)
}

// isFull reports whether records must leave before others are added.
func (o *byCustomer) isFull() bool { return len(o.waiting) >= maxWaiting || o.bytes >= maxWaitingBytes }

func (o *byCustomer) isEmpty() bool { return len(o.waiting) == 0 }

// next removes the records for the next transaction.
func (o *byCustomer) next() (records []provider.Import) {
	for size := 0; len(o.waiting) > 0 && len(records) < chunkLines && size < chunkBytes; {
		w := heap.Pop(&o.waiting).(*waitingLine)
		o.round, o.last = w.round, w.customer()
		if o.rounds[w.ID] == w.round {
			delete(o.rounds, w.ID)
		}
		size += w.bytes
		o.bytes -= w.bytes
		records = append(records, w.Import)
	}
	return records
}

type waitingLine struct {
	importedLine
	number int // in the order of the lines
	round  int
}

// waitingHeap implements [heap.Interface].
type waitingHeap []*waitingLine

func (h waitingHeap) Len() int       { return len(h) }
func (h waitingHeap) Swap(i, j int)  { h[i], h[j] = h[j], h[i] }
func (h *waitingHeap) Push(line any) { *h = append(*h, line.(*waitingLine)) }

func (h waitingHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	x, y := a.customer(), b.customer()
	return cmp.Or(cmp.Compare(a.round, b.round), bytes.Compare(x[:], y[:]), cmp.Compare(a.number, b.number)) < 0
}

func (h *waitingHeap) Pop() any {
	last := len(*h) - 1
	line := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return line
}
