package provider

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// ErrInvalidCursor is the error of Activity for a cursor that it did not return.
var ErrInvalidCursor = errors.New("the cursor is not valid")

// ActivityQuery selects events of many records. A zero field selects all, and an event must match each of the others.
type ActivityQuery struct {
	Organization int64
	CustomerID   *uuid.UUID // to whom the record belongs now, or did when it was deleted
	KeyID        string
	Since        time.Time // the earliest time
	Until        time.Time // the first time that is too late
	Cursor       string    // ActivityPage.Next of the page before; empty for the first page
	Limit        int       // at least 1
}

// Matches reports whether a query selects an event of a record of its organization and customer.
func (q *ActivityQuery) Matches(e *Event) bool {
	return (q.KeyID == "" || e.By.KeyID == q.KeyID) && !e.At.Before(q.Since) && (q.Until.IsZero() || e.At.Before(q.Until))
}

// ActivityEvent is an event, and whose it is.
type ActivityEvent struct {
	OrganizationEvent
	CustomerID uuid.UUID // to whom the record belongs now, or did when it was deleted
}

// ActivityPage is a part of the events that a query selects, the latest first.
type ActivityPage struct {
	Events []ActivityEvent
	Next   string // the Cursor of the next page; empty if there is none
}

// activityPiece is how many events of EachActivity are in memory at once.
const activityPiece = 500

// EachActivity calls f for each event that a query selects, the latest first. Its Limit and its Cursor are ignored. It stops at f's first
// error and returns it.
func EachActivity(ctx context.Context, s Store, q ActivityQuery, f func(*ActivityEvent) error) error {
	q.Limit, q.Cursor = activityPiece, ""
	for {
		page, err := s.Activity(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := f(&page.Events[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}
