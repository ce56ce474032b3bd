// Package client is a client for the careCycle customer provider API: the vendor's, or any server of the same contract.
//
// Nothing is published yet: the README says how to import the package from a clone.
//
// Without [WithBaseURL] a Client calls the vendor's server, [DefaultBaseURL], and sends the key to it. Name your own server with that option.
//
// # Updating a provider
//
// Create one [Client] with your organization's key, and use it in the whole program:
//
//	c, err := client.New(os.Getenv("CARECYCLE_API_KEY"), client.WithBaseURL("https://providers.example.com"))
//	if err != nil {
//		return err
//	}
//	record, err := c.UpdateProvider(ctx, customerID, providerID, client.ProviderUpdate{
//		Phone: client.Set("+1 555 0100"), // a value
//		Fax:   client.Clear[string](),    // null
//	}) // other properties keep their values
//	if err != nil {
//		return err
//	}
//
// A property that can be null is a [Field]: [Set] gives it a value, [Clear] sets it to null, and the zero Field leaves the
// property as it is. [FieldOf] makes one from a pointer, and [Diff] a whole update from two records. CustomerID and ProviderType
// cannot be null, so they are pointers:
//
//	client.ProviderUpdate{ProviderType: new(client.ProviderTypePharmacy)}
//
// UpdateProvider returns the whole [Record] after the change, once the change is on disk. A property that can be null is a
// pointer in it. [Provider.UpdatedTime] and [Provider.CreatedTime] parse the timestamps.
//
// # Creating, reading and deleting
//
// [Client.CreateProvider] creates a record. Properties that you omit are null:
//
//	record, err := c.CreateProvider(ctx, customerID, client.ProviderCreate{
//		ProviderType: client.ProviderTypeHospital,
//		Phone:        new("+1 555 0100"),
//	})
//
// [Client.GetProvider] reads a record, and [Client.DeleteProvider] deletes it. [Client.Providers] iterates over a customer's
// records, all of them or those that match a [ProviderFilter]. It requests the next page when the loop needs it:
//
//	for record, err := range c.Providers(ctx, customerID, client.ProviderFilter{IsActive: new(true)}) {
//		if err != nil {
//			return err // the iteration is over
//		}
//		fmt.Println(record.ID, record.ProviderType)
//	}
//
// [Client.ProviderHistory] iterates over the changes of a record, the latest first. An iteration that an error ended goes on with the
// Cursor of the [Error], and [Client.ProviderPages] and [Client.ProviderHistoryPages] iterate over whole pages.
//
// IDs are of the types [CustomerID] and [ProviderID], so that a program which swaps them does not compile: convert a uuid.UUID with
// client.CustomerID(id), and text with [ParseCustomerID].
//
// # Options of a call
//
// Every method takes a [CallOption]: [WithTimeout], [WithRetries] and [WithoutRetries] for this call alone, [RequestID], [Header], and
// what belongs to an operation, such as [IfMatch] and [IfNoneMatch].
//
// # Errors
//
// Every error of the API or the network is an [*Error]. Use errors.Is to find out its kind, and errors.As or
// errors.AsType to get its details:
//
//	switch {
//	case errors.Is(err, client.ErrNotFound):
//		// the customer has no such provider
//	case errors.Is(err, client.ErrValidation):
//		if e, ok := errors.AsType[*client.Error](err); ok {
//			for _, field := range e.Fields {
//				fmt.Println(field.Path, field.Message)
//			}
//		}
//	case errors.Is(err, client.ErrUnavailable):
//		// try again later
//	}
//
// The text of an error is safe to log: it contains no ID of a customer or provider, no value, and not the key.
//
// # Retries
//
// Updates, deletions and reads have the same effect however often they are sent. A call therefore retries them if the API
// is too busy (429, 503), a proxy cannot reach it (502, 504, 520 to 530), the body arrived too slowly (408), or the connection
// fails. It waits with jittered exponential backoff, and no shorter than Retry-After asks. It gives up after
// [DefaultAttempts] attempts, or if the next one would start later than [DefaultElapsed] after the call or after the
// context's deadline, and then returns the last error at once. [WithRetries] sets other limits, [WithoutRetries] turns
// retries off, and [WithTimeout] limits each attempt.
//
// If all attempts fail, the change may have been made, and only the response lost. The error is then an
// [ErrOutcomeUnknown] too.
//
// All calls of a Client share a bound of retries, so that a server that is down is not sent several times as many requests: about
// 30 retries at once, more after many successes, and then one for ten calls that succeed.
//
// A creation is sent with an Idempotency-Key, so that retries create no second record. The vendor documents no such header: with
// [DefaultBaseURL], CreateProvider retries only if the failed attempt certainly created nothing. Otherwise it returns an
// [ErrOutcomeUnknown] at once: look for the record before you call again.
//
// # Rate limits
//
// A key has a limit of requests in a minute. Calls that share a Client share it without running into it together: the Client reads
// from each response how many requests are left, and sends the next one when it is allowed, in the order in which the calls began. So
// hundreds of goroutines may call at once. If the API rejects a request nevertheless (429), as another program uses the
// same key, all calls wait for as long as it says. [WithRateLimit] holds the Client to a lower pace.
//
// A call waits no longer than [WithRetries] lets it take, 30 seconds by default, and then fails with [ErrRateLimited]. A
// program with much to do gives its calls more time:
//
//	c, err := client.New(key, client.WithRetries(10, time.Hour))
//
// # Changing what was read
//
// [Client.ModifyProvider] reads a record, calls a function that decides on the change, and sends the change only if nobody
// else changed the record in between. If somebody did, it starts again:
//
//	record, err := c.ModifyProvider(ctx, customerID, providerID, func(current *client.Record) (client.ProviderUpdate, error) {
//		if current.Notes == nil {
//			return client.ProviderUpdate{}, nil // nothing to change
//		}
//		return client.ProviderUpdate{Notes: client.Set(*current.Notes + " Call in the morning.")}, nil
//	})
//
// If a person decides, use the ETag of the [Record], which is its version. [IfMatch] makes an update or a deletion only if
// the record still has that version:
//
//	_, err = c.UpdateProvider(ctx, customerID, providerID, change, client.IfMatch(record.ETag))
//	if errors.Is(err, client.ErrPreconditionFailed) {
//		// somebody else changed the record: read it again and decide again
//	}
//
// If an attempt of such an update is lost and its retry is rejected, it is unknown whether the lost attempt or somebody else
// changed the record. The error is then ErrOutcomeUnknown and never ErrPreconditionFailed, because applying the change to
// the new state could apply it twice.
//
// # Observability
//
// [WithAttemptHook] reports each attempt, for logs and metrics; it gets no IDs:
//
//	client.WithAttemptHook(func(ctx context.Context, a client.Attempt) {
//		slog.InfoContext(ctx, "careCycle", "method", a.Method, "route", a.Route, "attempt", a.Number, "status", a.StatusCode, "duration", a.Duration, "error", a.Err)
//		requests.WithLabelValues(a.Method, a.Route, strconv.Itoa(a.StatusCode)).Observe(a.Duration.Seconds()) // of Prometheus
//	})
//
// [WithTracer] traces calls and attempts; package clientotel has a [Tracer] for OpenTelemetry. [WithRequestEditorFn] sees each request
// before it is sent, without the key, and can add headers. All attempts of a call have the same X-Request-Id, which is in the
// server's log and in the Error.
//
// # Tests
//
// Package clienttest is the API in memory, for the tests of your program, with faults to inject.
//
// # Generated code
//
// The models are generated from the API's contract, openapi.yaml, and so is the plain HTTP client that a Client uses.
package client
