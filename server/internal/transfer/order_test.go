package transfer

import (
	"bytes"
	"slices"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// However lines are added and taken, each record comes out once, those with the same ID in the order of their lines.
func TestOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var order byCustomer
		var added, taken []provider.Import
		take := func() { taken = append(taken, order.next()...) }
		for n := range rapid.IntRange(0, 50).Draw(t, "lines") {
			customer := uuid.UUID{rapid.ByteRange(0, 5).Draw(t, "customer")}
			line := importedLine{provider.Import{ID: uuid.UUID{rapid.ByteRange(0, 9).Draw(t, "id")}, Patch: property.Patch{CustomerID: &customer}}, n}
			line.Patch.Values[property.Notes] = property.Text(string(rune('a' + n)))
			if rapid.IntRange(0, 4).Draw(t, "a long line") == 0 {
				line.bytes = chunkBytes // a transaction has no room for another line
			}
			added = append(added, line.Import)
			order.add(line)
			if rapid.IntRange(0, 4).Draw(t, "take") == 0 {
				take()
			}
		}
		for !order.isEmpty() {
			take()
		}
		if len(taken) != len(added) || order.bytes != 0 || len(order.rounds) != 0 {
			t.Fatalf("%d records came out of %d lines; %d bytes and %d IDs are left", len(taken), len(added), order.bytes, len(order.rounds))
		}
		if got, want := notes(taken), notes(added); !slices.Equal(got, want) {
			t.Fatalf("the order by ID is %q, want %q", got, want)
		}
	})
}

// notes returns the notes of all records, grouped by ID.
func notes(records []provider.Import) (texts []string) {
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b provider.Import) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, r := range sorted {
		text, _ := r.Patch.Values[property.Notes].Text()
		texts = append(texts, text)
	}
	return texts
}

// Of many lines in random order, transactions take neighbours.
func TestOrderIsThatOfCustomers(t *testing.T) {
	t.Parallel()
	var order byCustomer
	transactions, rounds, last := 0, 1, uuid.UUID{}
	take := func() {
		transactions++
		for _, r := range order.next() {
			customer := *r.Patch.CustomerID
			if bytes.Compare(customer[:], last[:]) < 0 {
				rounds++
			}
			last = customer
		}
	}
	for range 2 * maxWaiting {
		customer := uuid.New()
		order.add(importedLine{provider.Import{ID: uuid.New(), Patch: property.Patch{CustomerID: &customer}}, 500})
		for order.isFull() {
			take()
		}
	}
	for !order.isEmpty() {
		take()
	}
	if want := 2*maxWaiting/chunkLines + 1; rounds > 2 || transactions > want {
		t.Errorf("%d rounds in %d transactions, want 2 in %d", rounds, transactions, want)
	}
}
