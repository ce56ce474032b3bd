package clienttest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

// record is one provider: its properties as JSON has them, and its history.
type record struct {
	id         client.ProviderID
	customer   client.CustomerID
	version    int64
	created    time.Time
	properties map[string]any
	deleted    bool
	history    []client.HistoryEntry // the oldest first
}

// creation is what an Idempotency-Key has created.
type creation struct {
	customer client.CustomerID
	body     string
	id       client.ProviderID
}

// rejection is a response that is not a success.
type rejection struct {
	status  int
	code    string
	message string
	errors  []client.FieldError // with 422
}

func invalid(errors []client.FieldError) *rejection {
	message := fmt.Sprintf("The request has %d errors; all are listed.", len(errors))
	if len(errors) == 1 {
		message = "The request has an error: " + errors[0].Message
	}
	return &rejection{http.StatusUnprocessableEntity, "VALIDATION_ERROR", message, errors}
}

var (
	notFound    = &rejection{http.StatusNotFound, "NOT_FOUND", "This customer has no such provider.", nil}
	noCustomer  = &rejection{http.StatusNotFound, "NOT_FOUND", "There is no such customer.", nil}
	changed     = &rejection{http.StatusPreconditionFailed, "PRECONDITION_FAILED", "The provider has changed since the version in If-Match. Nothing was changed; read the record again and decide again.", nil}
	unknownETag = &rejection{http.StatusPreconditionFailed, "UNKNOWN_ETAG", "If-Match has no ETag of this API, so it can never match. Nothing was changed; send the ETag of a response, unchanged.", nil}
	reused      = &rejection{http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED", "The Idempotency-Key was used for another creation. Nothing was changed; send this one with a new key.",
		[]client.FieldError{{Path: []string{"Idempotency-Key"}, Code: "key_reused", Message: "Idempotency-Key must be a new key.", Expected: "a new key", Received: "a key of another creation"}}}
)

// ServeHTTP implements [http.Handler]: a request of the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	var fault Fault
	if len(a.faults) > 0 {
		fault, a.faults = a.faults[0], a.faults[1:]
	}
	a.mu.Unlock()
	handler := http.Handler(http.HandlerFunc(a.route))
	if fault != nil {
		fault(w, r, handler)
		return
	}
	handler.ServeHTTP(w, r)
}

const (
	listPath    = "/v2/customers/{id}/providers"
	recordPath  = listPath + "/{providerId}"
	historyPath = recordPath + "/history"
)

// newMux returns the handler of every path.
func (a *API) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for path, operations := range map[string]map[string]func(*call) *rejection{
		listPath:    {"GET": a.list, "POST": a.create},
		recordPath:  {"GET": a.get, "PATCH": a.update, "DELETE": a.delete},
		historyPath: {"GET": a.history},
	} {
		methods := []string{"OPTIONS", "HEAD"}
		for method, operation := range operations {
			methods = append(methods, method)
			mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) { a.handle(w, r, method, path, operation) })
		}
		slices.Sort(methods)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			reject(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "This path does not support this method; the header Allow lists the methods that it supports.")
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reject(w, http.StatusNotFound, "PATH_NOT_FOUND", "The API has no such path.")
	})
	return mux
}

// route gives the request an ID, and calls the handler of its path.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("X-Request-Id")
	if (len(id) != 36 && len(id) != 32) || uuid.Validate(id) != nil {
		id = uuid.Must(uuid.NewV7()).String()
	}
	w.Header().Set("X-Request-Id", id)
	a.mux.ServeHTTP(w, r)
}

// handle checks a request to an operation, and calls that.
func (a *API) handle(w http.ResponseWriter, r *http.Request, method, path string, operation func(*call) *rejection) {
	if r.Header.Get("X-Api-Key") != Key {
		reject(w, http.StatusUnauthorized, "UNAUTHORIZED", "The API key is not that of the test.")
		return
	}
	body, failure := a.contract.check(r, method, path)
	if failure == nil {
		c := &call{w: w, r: r, body: body, requestID: w.Header().Get("X-Request-Id")}
		c.customer, _ = client.ParseCustomerID(r.PathValue("id"))
		c.provider, _ = client.ParseProviderID(r.PathValue("providerId"))
		a.mu.Lock()
		failure = operation(c)
		a.mu.Unlock()
	}
	if failure != nil {
		failure.write(w)
	}
}

// call is a request that keeps the contract.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	customer  client.CustomerID
	provider  client.ProviderID
	body      map[string]any
	requestID string
}

func (a *API) list(c *call) *rejection {
	if !a.customers[c.customer] {
		return noCustomer
	}
	var found []*record
	for _, r := range a.records {
		if !r.deleted && r.customer == c.customer && matches(r, c.r.URL.Query()) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(x, y *record) int { // the newest first
		return cmp.Or(y.created.Compare(x.created), bytes.Compare(y.id[:], x.id[:]))
	})
	// A cursor is the ID of the last record before, which the contract lets be any 32 characters.
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		found = found[slices.IndexFunc(found, func(r *record) bool { return cursorOf(r) == cursor })+1:]
	}
	var page struct {
		Data       []map[string]any `json:"data"`
		NextCursor *string          `json:"nextCursor"`
	}
	page.Data = []map[string]any{}
	for _, r := range found[:min(len(found), c.limit())] {
		item := maps.Clone(r.properties)
		item["etag"] = etag(r.version)
		page.Data = append(page.Data, item)
	}
	if len(found) > c.limit() {
		page.NextCursor = new(cursorOf(found[c.limit()-1]))
	}
	return c.respond(http.StatusOK, page)
}

func cursorOf(r *record) string { return strings.ReplaceAll(r.id.String(), "-", "") }

// matches reports whether the record has the value of each filter.
func matches(r *record, query map[string][]string) bool {
	for name, values := range query {
		if name != "limit" && name != "cursor" && fmt.Sprint(r.properties[name]) != values[0] {
			return false
		}
	}
	return true
}

func (c *call) limit() int {
	if limit, err := strconv.Atoi(c.r.URL.Query().Get("limit")); err == nil {
		return limit
	}
	return 50
}

func (a *API) create(c *call) *rejection {
	if !a.customers[c.customer] {
		return noCustomer
	}
	body, _ := json.Marshal(c.body)
	key := idempotencyKey(c.r.Header)
	if before, ok := a.created[key]; ok && key != "" {
		if before.customer != c.customer || before.body != string(body) {
			return reused
		}
		return c.respondCreated(a.records[before.id].first())
	}
	r := &record{id: client.ProviderID(uuid.New()), customer: c.customer, created: a.now(), properties: map[string]any{}}
	for _, name := range a.contract.properties {
		r.properties[name] = nil
	}
	values := maps.Clone(c.body)
	values["customerId"] = c.customer.String()
	a.change(c, r, client.HistoryActionCreated, values, r.created)
	r.properties["id"], r.properties["createdAt"] = r.id.String(), format(r.created)
	a.records[r.id] = r
	if key != "" {
		a.created[key] = creation{c.customer, string(body), r.id}
	}
	return c.respondCreated(r)
}

// idempotencyKey returns the text of the header, which may be in quotes.
func idempotencyKey(header http.Header) string {
	key, quoted := strings.CutPrefix(header.Get("Idempotency-Key"), `"`)
	if quoted {
		key = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.TrimSuffix(key, `"`))
	}
	return key
}

// first returns the record as it was created.
func (r *record) first() *record {
	created := &record{id: r.id, version: 1, properties: maps.Clone(r.properties)}
	for name := range created.properties {
		if name != "id" && name != "createdAt" {
			created.properties[name] = nil
		}
	}
	for _, change := range r.history[0].Changes {
		created.properties[change.Field] = change.To
	}
	created.properties["updatedAt"] = created.properties["createdAt"]
	return created
}

func (c *call) respondCreated(r *record) *rejection {
	c.w.Header().Set("Location", c.r.URL.Path+"/"+r.id.String())
	return c.respondRecord(http.StatusCreated, r)
}

// find returns a record that the customer has, or nil.
func (a *API) find(c *call) *record {
	if r := a.records[c.provider]; r != nil && !r.deleted && r.customer == c.customer {
		return r
	}
	return nil
}

func (a *API) get(c *call) *rejection {
	r := a.find(c)
	if r == nil {
		return notFound
	}
	if condition := c.r.Header.Get("If-None-Match"); condition == "*" || slices.Contains(versions(condition), r.version) {
		c.w.Header().Set("ETag", etag(r.version))
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.respondRecord(http.StatusOK, r)
}

func (a *API) update(c *call) *rejection {
	r := a.find(c)
	if r == nil {
		return notFound
	}
	if failure := c.precondition(r); failure != nil {
		return failure
	}
	if id, ok := c.body["customerId"].(string); ok {
		customer, _ := client.ParseCustomerID(id)
		if !a.customers[customer] {
			return invalid([]client.FieldError{{
				Path: []string{"customerId"}, Code: "unknown_customer", Message: "customerId must be an existing customer.",
				Expected: "the ID of an existing customer", Received: "another UUID",
			}})
		}
		c.body["customerId"] = customer.String()
		r.customer = customer
	}
	a.change(c, r, client.HistoryActionUpdated, c.body, a.now())
	return c.respondRecord(http.StatusOK, r)
}

func (a *API) delete(c *call) *rejection {
	r := a.find(c)
	if r == nil {
		return notFound
	}
	if failure := c.precondition(r); failure != nil {
		return failure
	}
	r.deleted = true
	return c.respond(http.StatusOK, client.DeleteResponse{Success: true, Message: "The provider was deleted."})
}

func (a *API) history(c *call) *rejection {
	r := a.find(c)
	if r == nil {
		return notFound
	}
	before := r.version + 1
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		version, _ := strconv.ParseInt(cursor, 10, 64)
		before = min(before, version)
	}
	page := client.HistoryList{Data: []client.HistoryEntry{}}
	for version := before - 1; version > 0 && len(page.Data) < c.limit(); version-- {
		page.Data = append(page.Data, r.history[version-1])
	}
	if n := len(page.Data); n > 0 && page.Data[n-1].Version > 1 {
		page.NextCursor = new(strconv.FormatInt(page.Data[n-1].Version, 10))
	}
	return c.respond(http.StatusOK, page)
}

// precondition compares the record's version with If-Match.
func (c *call) precondition(r *record) *rejection {
	condition := c.r.Header.Get("If-Match")
	if condition == "" || strings.TrimSpace(condition) == "*" {
		return nil
	}
	listed := versions(condition)
	switch {
	case len(listed) == 0:
		return unknownETag
	case !slices.Contains(listed, r.version):
		return changed
	}
	return nil
}

// ownTag matches the ETag of a version, also as a proxy that compresses responses rewrites it.
var ownTag = regexp.MustCompile(`"([1-9][0-9]{0,18})(?:[-;]{1,2}[a-z]{1,8})?"`)

func versions(header string) (all []int64) {
	for _, match := range ownTag.FindAllStringSubmatch(header, -1) {
		if version, err := strconv.ParseInt(match[1], 10, 64); err == nil {
			all = append(all, version)
		}
	}
	return all
}

// change sets properties of a record. If that changes anything, it has a new version.
func (a *API) change(c *call, r *record, action client.HistoryAction, values map[string]any, at time.Time) {
	entry := client.HistoryEntry{Version: r.version + 1, At: format(at), Action: action, KeyID: new("key_clienttest"), RequestID: &c.requestID}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if from, to := r.properties[name], values[name]; from != to {
			entry.Changes = append(entry.Changes, client.PropertyChange{Field: name, From: from, To: to})
			r.properties[name] = to
		}
	}
	if len(entry.Changes) == 0 {
		return
	}
	r.version++
	r.properties["updatedAt"] = format(at)
	r.history = append(r.history, entry)
}

// now returns the time, later than any before.
func (a *API) now() time.Time {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if !now.After(a.last) {
		now = a.last.Add(time.Millisecond)
	}
	a.last = now
	return now
}

func format(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

func etag(version int64) string { return fmt.Sprintf("%q", strconv.FormatInt(version, 10)) }

func (c *call) respondRecord(status int, r *record) *rejection {
	c.w.Header().Set("ETag", etag(r.version))
	return c.respond(status, r.properties)
}

func (c *call) respond(status int, body any) *rejection {
	writeJSON(c.w, status, body)
	return nil
}

func (r *rejection) write(w http.ResponseWriter) {
	if r.errors != nil {
		writeJSON(w, r.status, client.ValidationErrorResponse{Message: r.message, Code: r.code, Errors: r.errors})
		return
	}
	reject(w, r.status, r.code, r.message)
}

func reject(w http.ResponseWriter, status int, code, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, client.ErrorResponse{Code: code, Message: message})
}

func rejectRateLimited(w http.ResponseWriter, wait time.Duration) {
	seconds := int(max(time.Second, wait+time.Second-1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	writeJSON(w, http.StatusTooManyRequests, client.RateLimitResponse{
		Code: "RATE_LIMIT_EXCEEDED", Message: "Too many requests; wait as many seconds as retryAfter says.", RetryAfter: seconds,
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // of no type that JSON has
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text)
}
