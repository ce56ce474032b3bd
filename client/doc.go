// Package client keeps the providers of customers through the careCycle API: the vendor's, or any server of the same
// contract.
//
//	go get github.com/carecycle/provider-api/client
//
// # A change
//
// A [Client] is made once, with the key of your organization, and used by the whole program:
//
//	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"))
//	if err != nil {
//		return err
//	}
//	record, err := c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{
//		Phone: client.Set("+1 555 0100"), // a value
//		Fax:   client.Clear[string](),    // null
//	}) // everything else stays as it is
//	if err != nil {
//		return err
//	}
//
// The properties of a change that may be null are a [Field]: [Set] gives a value, [Clear] takes it away, and a Field
// that is not mentioned leaves the property alone. CustomerID and ProviderType, which are never null, are pointers:
//
//	client.ProviderUpdate{ProviderType: new(client.ProviderTypePharmacy)}
//
// The answer is the whole [Record] as it stands after the change, which is then on disk. What may be null is a pointer,
// nil for null. [Provider.UpdatedTime] and [Provider.CreatedTime] read the timestamps, whose text is in UpdatedAt and
// CreatedAt.
//
// # Making, reading and deleting
//
// [Client.CreateProvider] makes a record. What is not mentioned is null:
//
//	record, err := c.CreateProvider(ctx, customerID, client.ProviderCreate{
//		ProviderType: client.ProviderTypeHospital,
//		Phone:        new("+1 555 0100"),
//	})
//
// [Client.GetProvider] reads one, [Client.DeleteProvider] deletes it. [Client.Providers] walks through all that a customer
// has, or those that a [ProviderFilter] lets through, and asks for the next page when the loop gets there:
//
//	for provider, err := range c.Providers(ctx, customerID, client.ProviderFilter{IsActive: new(true)}) {
//		if err != nil {
//			return err // the walk is over
//		}
//		fmt.Println(provider.ID, provider.ProviderType)
//	}
//
// [Client.ProviderHistory] walks in the same way through what was done to a record, by whom and when, the latest first.
//
// # Errors
//
// [errors.Is] tells what kind an error is of, and [errors.As] or [errors.AsType] gives the [Error] with its details:
//
//	switch {
//	case errors.Is(err, client.ErrNotFound):
//		// the customer has no such provider
//	case errors.Is(err, client.ErrValidation):
//		if e, ok := errors.AsType[*client.Error](err); ok {
//			for _, fault := range e.Fields {
//				fmt.Println(fault.Path, fault.Message)
//			}
//		}
//	case errors.Is(err, client.ErrUnavailable):
//		// later, perhaps
//	}
//
// The text of an error can be logged as it is: it names no customer, no provider, no value and not the key.
//
// # Repetition
//
// An update or a deletion is the same however often it is sent, and reading changes nothing. So a call repeats it when
// the API is too busy (429, 503), a proxy cannot reach it (502, 504), or the connection fails, after a random wait that
// grows, or the wait that the API asks for. It gives up after [DefaultAttempts], or when the next attempt would begin later than [DefaultElapsed] after the
// call or after the deadline of its context, and then returns the last attempt's error at once. [WithRetries] sets
// other bounds, [WithoutRetries] switches repetition off, [WithTimeout] bounds each attempt.
//
// If nothing helps, the change may have been made all the same, and only its answer been lost. The error is then an
// [ErrOutcomeUnknown] too.
//
// A creation that is sent twice makes two records. CreateProvider repeats an attempt only if that certainly made none,
// and otherwise returns at once, with an ErrOutcomeUnknown: look for the record before you call again.
//
// # Changing what was read
//
// [Client.ModifyProvider] reads a record, lets a function decide on the change, and makes it only if nobody changed the
// record in between; if somebody did, it begins anew:
//
//	record, err := c.ModifyProvider(ctx, customerID, providerID, func(current *client.Record) (client.ProviderUpdate, error) {
//		if current.Notes == nil {
//			return client.ProviderUpdate{}, nil // nothing to change
//		}
//		return client.ProviderUpdate{Notes: client.Set(*current.Notes + " Call in the morning.")}, nil
//	})
//
// Where a person decides, there is more time in between. Each Record has an ETag, its version. [IfMatch] makes an update
// or a deletion only if the record still has that version:
//
//	_, err = c.UpdateProvider(ctx, customerID, providerID, change, client.IfMatch(record.ETag))
//	if errors.Is(err, client.ErrPreconditionFailed) {
//		// somebody was faster: read the record anew and decide again
//	}
//
// If an attempt of such an update is lost and its repetition is refused, nobody can tell whether it was the lost attempt
// that changed the record, or somebody else. That is an ErrOutcomeUnknown, never an ErrPreconditionFailed: to read
// anew and apply the change once more could apply it twice.
//
// # Watching
//
// [WithAttemptHook] reports each attempt, for logs and metrics, in terms that hold no ID. [WithRequestEditorFn] sees
// each request before it is sent, without the key, and may add headers; [WithTransport] takes a transport that traces.
// All attempts of a call carry one X-Request-Id, which the server's log has as well, and so has the Error.
//
// # Generated code
//
// The models are generated from the API's contract, openapi.yaml, and so is the plain [HTTPClient], which has none of
// the above and is not meant to be used by itself.
package client
