package provider

import (
	"fmt"
	"strings"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// Problem is something that a verification of a store has found. It names IDs, versions and properties, and never a value.
type Problem struct {
	Organization int64     // 0 if the problem is not about one
	ProviderID   uuid.UUID // Nil if it is not about a record
	Text         string
}

// String returns the problem as one line.
func (p Problem) String() string {
	line := strings.ReplaceAll(p.Text, "\n", " ")
	if p.ProviderID != uuid.Nil {
		line = fmt.Sprintf("provider %s: %s", p.ProviderID, line)
	}
	if p.Organization != 0 {
		line = fmt.Sprintf("organization %d: %s", p.Organization, line)
	}
	return line
}

// Verified counts what a verification has read.
type Verified struct {
	Records  int64 // deleted or not
	Versions int64 // events of their histories
}

// HistoryCheck compares a record with its history, which it takes from the latest event back to the oldest one. So it holds one state of
// the record, and checks also a history whose oldest events were archived: each event must have set the values that the record has, or
// that the events after it have changed.
type HistoryCheck struct {
	report func(text string)
	record *Provider
	next   int64 // the version of the event that is to come
	events int64

	// What the record was after that event. Values that are not known are absent.
	existence existence
	customer  state
	values    [len(property.Table)]state
	renamed   bool // an event names a property that the contract does not have
}

type existence uint8

const (
	unknown existence = iota
	exists
	gone
)

// state is the value of a property, and the version whose event found it so; 0 if that is the record.
type state struct {
	value property.Value
	by    int64
}

// NewHistoryCheck begins to check a record of an organization.
func NewHistoryCheck(organization int64, record *Provider, report func(Problem)) *HistoryCheck {
	h := &HistoryCheck{record: record, next: record.Version, existence: exists}
	h.report = func(text string) {
		report(Problem{Organization: organization, ProviderID: record.ID, Text: text})
	}
	h.customer.value = property.Text(record.CustomerID.String())
	for id := range h.values {
		h.values[id].value = record.Values[id]
	}
	if record.Deleted {
		h.checkDeleted()
		h.forget(0, property.Null)
		h.existence = gone
	}
	return h
}

// checkDeleted looks for values that a deleted record should not have.
func (h *HistoryCheck) checkDeleted() {
	for id, value := range h.record.Values {
		if p := &property.Table[id]; p.Nullable && !value.IsNull() {
			h.report("it is deleted, and still has a value of " + p.Name)
		}
	}
}

// forget gives all properties the same value, of a version.
func (h *HistoryCheck) forget(version int64, value property.Value) {
	h.customer = state{value, version}
	for id := range h.values {
		h.values[id] = state{value, version}
	}
}

// Add checks the event before those that were added. readErr is not nil if its changes could not be read. Add returns false if the events
// before it tell nothing.
func (h *HistoryCheck) Add(e *Event, readErr error) bool {
	h.events++
	switch {
	case e.Version == h.next:
	case h.events == 1:
		h.report(fmt.Sprintf("the record has version %d, and its newest event %d", h.next, e.Version))
	case e.Version > h.next:
		h.report(fmt.Sprintf("version %d is in the history before version %d", e.Version, h.next+1))
		return false
	default:
		h.report(missing(e.Version+1, h.next))
	}
	if e.Version != h.next || readErr != nil { // anything may have happened
		h.forget(0, property.Value{})
		h.existence = unknown
	}
	h.next = e.Version - 1
	if readErr != nil {
		h.report(fmt.Sprintf("the changes of version %d cannot be read", e.Version))
		return true
	}
	h.checkAction(e)
	h.undo(e)
	return true
}

func missing(from, to int64) string {
	if from == to {
		return fmt.Sprintf("version %d is missing in the history", from)
	}
	return fmt.Sprintf("versions %d to %d are missing in the history", from, to)
}

// checkAction compares what the event did with whether the record existed after it, and sets whether it existed before.
func (h *HistoryCheck) checkAction(e *Event) {
	before, after := exists, exists
	switch e.Action {
	case Created:
		before = gone
	case Updated:
	case Deleted:
		after = gone
	default:
		h.report(fmt.Sprintf("version %d has an unknown action", e.Version))
		before, after = unknown, h.existence
	}
	if h.existence != unknown && h.existence != after {
		h.report(fmt.Sprintf("version %d is %q, which does not fit what follows it", e.Version, e.Action))
		h.forget(0, property.Value{})
	}
	if e.Version == 1 && before == exists {
		h.report(fmt.Sprintf("version 1 is %q instead of %q", e.Action, Created))
	}
	h.existence = before
}

// undo compares the changes of an event with the state after it, and restores the state before it.
func (h *HistoryCheck) undo(e *Event) {
	for _, change := range e.Changes {
		s := h.state(change.Field)
		if s == nil {
			h.renamed = true
		} else if !s.value.IsAbsent() && s.value != change.To {
			h.report(differs(e.Version, change.Field, s.by))
		}
	}
	if e.Action == Deleted {
		h.checkKept(e)
		h.forget(0, property.Value{}) // a program that does not know a property clears it with the others, and does not list it
	}
	for _, change := range e.Changes {
		if s := h.state(change.Field); s != nil {
			*s = state{change.From, e.Version}
		}
	}
	if e.Action == Created {
		h.checkCreated(e.Version)
		h.forget(e.Version, property.Null)
	}
}

func differs(version int64, field string, later int64) string {
	if later == 0 {
		return fmt.Sprintf("version %d has set another value of %s than the record has", version, field)
	}
	return fmt.Sprintf("version %d has set another value of %s than version %d has changed", version, field, later)
}

// checkCreated looks for values that the creation did not set, and no later event either.
func (h *HistoryCheck) checkCreated(version int64) {
	check := func(field string, s state) {
		if !s.value.IsAbsent() && !s.value.IsNull() {
			h.report(differs(version, field, s.by))
		}
	}
	check(customerID, h.customer)
	if h.renamed { // one of them may have been set under another name
		return
	}
	for id, s := range h.values {
		check(property.Table[id].Name, s)
	}
}

// checkKept compares what a deleted record keeps with the values that its deletion lists.
func (h *HistoryCheck) checkKept(e *Event) {
	if !h.record.Deleted || e.Version != h.record.Version {
		return
	}
	for _, change := range e.Changes {
		id, known := property.ByName(change.Field)
		kept := change.Field == customerID && change.From != property.Text(h.record.CustomerID.String()) ||
			known && !property.Table[id].Nullable && change.From != h.record.Values[id]
		if kept {
			h.report(fmt.Sprintf("version %d has removed another value of %s than the record has", e.Version, change.Field))
		}
	}
}

// state returns that of a property, nil if the contract does not have it.
func (h *HistoryCheck) state(field string) *state {
	if field == customerID {
		return &h.customer
	}
	if id, known := property.ByName(field); known {
		return &h.values[id]
	}
	return nil
}

// End is called after the oldest event. The events before it, if it is not the first version, were archived or purged.
func (h *HistoryCheck) End() {
	if h.events == 0 {
		h.report("the record has no history")
	}
}
