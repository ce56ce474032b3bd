package main

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestTenancy asks for what another organization has and for what nobody has: the responses are the same.
func TestTenancy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.account("acme"), s.account("umbrella")
	own, others, nobodys := a.newRecord(), b.newRecord(), record{uuid.NewString(), uuid.NewString()}
	for _, question := range []struct {
		name   string
		status int
		ask    func(of record) request
	}{
		{"a provider of a customer", 404, func(of record) request { return request{Path: of.path()} }},
		{"a customer with a provider of ours", 404, func(of record) request { return request{Path: pathOf(of.customer, own.id)} }},
		{"a provider with a customer of ours", 404, func(of record) request { return request{Path: pathOf(own.customer, of.id)} }},
		{"with its version", 404, func(of record) request { return request{Path: of.path(), Header: http.Header{"If-Match": {`"1"`}}} }},
		{"with another version", 404, func(of record) request { return request{Path: of.path(), Header: http.Header{"If-Match": {`"2"`}}} }},
		{"with its own customer in the body", 404, func(of record) request {
			return request{Path: of.path(), Body: asJSON(changes{"customerId": of.customer})}
		}},
		{"with our customer in the body", 404, func(of record) request {
			return request{Path: of.path(), Body: asJSON(changes{"customerId": own.customer})}
		}},
		{"with a body that is rejected", 422, func(of record) request { return request{Path: of.path(), Body: `{"city":1}`} }},
		{"a move to a customer", 422, func(of record) request {
			return request{Path: own.path(), Body: asJSON(changes{"customerId": of.customer})}
		}},
		{"a move to a customer, and more", 422, func(of record) request {
			return request{Path: own.path(), Body: asJSON(changes{"customerId": of.customer, "city": "x"})}
		}},
		{"a move to a customer, with another version", 412, func(of record) request {
			return request{Path: own.path(), Body: asJSON(changes{"customerId": of.customer}), Header: http.Header{"If-Match": {`"2"`}}}
		}},
		{"to read a provider", 404, func(of record) request { return request{Method: "GET", Path: of.path()} }},
		{"to read a provider of a customer of ours", 404, func(of record) request {
			return request{Method: "GET", Path: pathOf(own.customer, of.id)}
		}},
		{"to read a provider that has a version", 404, func(of record) request {
			return request{Method: "GET", Path: of.path(), Header: http.Header{"If-None-Match": {`*`}}}
		}},
		{"to list the providers of a customer", 404, func(of record) request {
			return request{Method: "GET", Path: providersOf(of.customer)}
		}},
		{"to make a provider of a customer", 404, func(of record) request {
			return request{Method: "POST", Path: providersOf(of.customer), Body: `{"providerType":"Hospital"}`}
		}},
		{"to delete a provider", 404, func(of record) request { return request{Method: "DELETE", Path: of.path()} }},
		{"to delete a provider of a customer of ours", 404, func(of record) request {
			return request{Method: "DELETE", Path: pathOf(own.customer, of.id)}
		}},
		{"to delete another version", 404, func(of record) request {
			return request{Method: "DELETE", Path: of.path(), Header: http.Header{"If-Match": {`"2"`}}}
		}},
		{"to follow a provider", 404, func(of record) request { return request{Method: "GET", Path: of.path() + "/history"} }},
	} {
		t.Run(question.name, func(t *testing.T) {
			ask := func(of record) response {
				r := question.ask(of)
				if r.Body == "" {
					r.Body = `{"city":"x"}`
				}
				got := a.in(t).send(r)
				for _, varying := range []string{"Date", "X-Request-Id"} {
					if got.Header.Get(varying) == "" {
						t.Errorf("no header %s", varying)
					}
					got.Header.Del(varying)
				}
				return got
			}
			absent := ask(nobodys)
			if absent.Status != question.status {
				t.Errorf("status %d, want %d: %s", absent.Status, question.status, absent.Body)
			}
			if diff := cmp.Diff(absent, ask(others)); diff != "" {
				t.Errorf("an absent one and another organization's (-absent +another's):\n%s", diff)
			}
		})
	}
	s.askedEverything()
	a.compare("ours", a.send(request{Path: own.path(), Body: `{}`}), own.properties(nil), false)
	b.compare("theirs", b.send(request{Path: others.path(), Body: `{}`}), others.properties(nil), false)
}

// TestTenancySameIDs has two organizations with customers and providers of the same ids, which have nothing to do with each other.
func TestTenancySameIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.account("acme"), s.account("umbrella")
	r, second := a.newRecord(), a.newRecord()
	b.importLines(b.organization, asJSON(r.properties(nil)))

	update := changes{"city": "x", "customerId": second.customer}
	a.compare("ours, changed and moved", a.send(request{Path: r.path(), Body: asJSON(update)}), r.properties(update), true)
	b.compare("theirs", b.send(request{Path: r.path(), Body: `{}`}), r.properties(nil), false)
	if got := b.send(request{Path: r.path(), Body: asJSON(update)}); got.Body != rejection([]fieldError{unknownCustomer()}) {
		t.Errorf("theirs, to a customer of ours: %d %s", got.Status, got.Body)
	}
	b.importLines(b.organization, asJSON(r.properties(changes{"city": "y"})))
	b.compare("theirs, imported again", b.send(request{Path: r.path(), Body: `{}`}), r.properties(changes{"city": "y"}), true)
	a.compare("ours", a.send(request{Path: pathOf(second.customer, r.id), Body: `{}`}), r.properties(update), true)
}

// TestTenancyInTime compares how long the response to a request for another organization's record takes with the one for a record
// that does not exist: a caller who measures learns nothing. A second set of records that do not exist is the control.
func TestTenancyInTime(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.account("acme"), s.account("umbrella")
	foreign := b.newRecord().path()
	absent, control := pathOf(uuid.NewString(), uuid.NewString()), pathOf(uuid.NewString(), uuid.NewString())
	measure := func(path string) time.Duration {
		start := time.Now()
		if got := a.send(request{Method: http.MethodGet, Path: path}); got.Status != http.StatusNotFound {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		return time.Since(start)
	}
	var difference float64
	for range 3 { // a busy machine can disturb one of them
		times := map[string][]time.Duration{}
		for range 1000 {
			for _, path := range []string{foreign, absent, control} {
				times[path] = append(times[path], measure(path))
			}
		}
		difference = slower(times[foreign], times[absent]) - slower(times[control], times[absent])
		if -0.1 < difference && difference < 0.1 {
			return
		}
	}
	t.Errorf("a foreign record takes longer than an absent one with a probability that differs from the control's by %.2f", difference)
}

// slower returns the probability that one of the times is longer than one of the others.
func slower(times, others []time.Duration) float64 {
	slices.Sort(others)
	sum := 0
	for _, one := range times {
		n, _ := slices.BinarySearch(others, one)
		sum += n
	}
	return float64(sum) / float64(len(times)*len(others))
}
