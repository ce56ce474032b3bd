package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// mostModifications bounds how often ModifyProvider reads a record that others keep changing.
const mostModifications = 10

// ModifyProvider changes a customer's provider by what it is: it reads the record, lets modify decide on the change, and
// makes that with IfMatch, so that nobody's change in between is overwritten. It returns the record as it stands then.
//
// If somebody was faster, it begins anew after a random wait that grows, up to ten times, and no longer than a call may
// take by WithRetries. So modify may be called several times, each time with the record as it stands; only the last
// change is made. If that does not help, the error is an ErrPreconditionFailed.
//
// If modify returns the zero update, nothing is sent and the record that was read is returned. An error of modify ends
// the call, and errors.Is finds it. If the server answers without an ETag, the error is ErrNoVersions, before modify is
// called. The other errors are those of GetProvider and UpdateProvider. An ErrOutcomeUnknown is among them, never
// followed by another change: the change may have been made, and making it once more could apply it twice.
func (c *Client) ModifyProvider(ctx context.Context, customerID, providerID uuid.UUID, modify func(current *Record) (ProviderUpdate, error)) (*Record, error) {
	if modify == nil {
		return nil, errors.New("modify provider: the function is nil")
	}
	record, err := c.modify(ctx, customerID, providerID, modify)
	if err != nil {
		return nil, fmt.Errorf("modify provider: %w", err)
	}
	return record, nil
}

func (c *Client) modify(ctx context.Context, customerID, providerID uuid.UUID, modify func(*Record) (ProviderUpdate, error)) (*Record, error) {
	end := c.clock.now().Add(c.retries.elapsed)
	for number := 1; ; number++ {
		current, err := c.GetProvider(ctx, customerID, providerID)
		if err != nil {
			return nil, err
		}
		if current.ETag == "" {
			return nil, ErrNoVersions
		}
		condition := IfMatch(current.ETag) // whatever modify does to the record
		update, err := modify(current)
		if err != nil {
			return nil, err
		}
		if update == (ProviderUpdate{}) {
			return current, nil
		}
		record, err := c.UpdateProvider(ctx, customerID, providerID, update, condition)
		failed, ok := errors.AsType[*Error](err)
		if !ok || !failed.Is(ErrPreconditionFailed) || number == mostModifications {
			return record, err
		}
		wait := c.wait(ctx, number, 0, end)
		if wait == 0 {
			return nil, err
		}
		if err := c.clock.sleep(ctx, wait); err != nil {
			return nil, fmt.Errorf("%s: %w", updateProvider.name, failed.endedBy(err))
		}
	}
}
