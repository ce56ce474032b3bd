package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var modifyProvider = operation{name: "modify provider"} // several of the contract's

// maxModifications bounds how often ModifyProvider reads a record that others keep changing.
const maxModifications = 10

// ModifyProvider reads a customer's provider, calls modify to decide on a change, and sends the change with IfMatch, so that
// it never overwrites a change made in between. It returns the record after the change.
//
// If somebody else changed the record first, it starts again with the new state, after a random wait that grows: up to ten
// times, and for no longer than WithRetries lets a call take. So modify may be called several times; only its last change is
// made. If that does not help, the error is an ErrPreconditionFailed.
//
// If modify returns the zero update, ModifyProvider sends nothing and returns the record as it read it. An error of modify
// ends the call, and errors.Is finds it. If the server sends no ETag, the error is ErrNoVersions, before modify is called; if
// the server rejects the ETag that it sends itself, the error is ErrETagNeverMatches. The other errors are those of
// GetProvider and UpdateProvider. One of them is ErrOutcomeUnknown. ModifyProvider never sends another change after it: the
// first may have been made, and making it again could apply it twice.
//
// The options are those of both calls. IfMatch and IfNoneMatch are none of them.
func (c *Client) ModifyProvider(ctx context.Context, customerID CustomerID, providerID ProviderID, modify func(current *Record) (ProviderUpdate, error), options ...CallOption) (*Record, error) {
	if modify == nil {
		return nil, errors.New("modify provider: the function is nil")
	}
	whole, err := c.newCall(modifyProvider, options)
	if err != nil {
		return nil, err
	}
	ctx, end := c.startCall(ctx, modifyProvider)
	err = errPanicked
	defer func() { end(err) }()
	record, err := c.modify(ctx, customerID, providerID, modify, c.clock.now().Add(whole.retries.elapsed), options)
	if err != nil {
		return nil, fmt.Errorf("modify provider: %w", err)
	}
	return record, nil
}

func (c *Client) modify(ctx context.Context, customerID CustomerID, providerID ProviderID, modify func(*Record) (ProviderUpdate, error), end time.Time, options []CallOption) (*Record, error) {
	rejected := "" // the ETag of the last update that failed
	for number := 1; ; number++ {
		current, err := c.GetProvider(ctx, customerID, providerID, options...)
		if err != nil {
			return nil, err
		}
		if current.ETag == "" {
			return nil, ErrNoVersions
		}
		if current.ETag == rejected {
			return nil, ErrETagNeverMatches
		}
		rejected = current.ETag
		conditional := append(slices.Clone(options), IfMatch(current.ETag)) // modify may change the record
		update, err := modify(current)
		if err != nil {
			return nil, err
		}
		if update == (ProviderUpdate{}) {
			return current, nil
		}
		record, err := c.UpdateProvider(ctx, customerID, providerID, update, conditional...)
		failed, ok := errors.AsType[*Error](err)
		if !ok || !failed.Is(ErrPreconditionFailed) || failed.Code == codeUnknownETag || number == maxModifications {
			return record, err
		}
		wait := c.wait(ctx, number, 0, end)
		if wait == 0 {
			return nil, err
		}
		if c.clock.sleep(ctx, wait) != nil {
			return nil, fmt.Errorf("%s: %w", updateProvider.name, failed.endedBy(endOf(ctx)))
		}
	}
}
