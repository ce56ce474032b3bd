package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
)

// panicking is a function of the program that panics, or ends its goroutine, when it is set.
type panicking struct{ now func() }

func (p *panicking) call() {
	if p.now != nil {
		p.now()
	}
}

// Read implements [io.Reader]: a response's body.
func (p *panicking) Read([]byte) (int, error) {
	p.call()
	return 0, io.EOF
}

// TestPanics has functions of the program panic after a 429, when one request at a time is sent: the next call is sent nevertheless.
func TestPanics(t *testing.T) {
	for name, ending := range map[string]func(){"panic": func() { panic("private") }, "Goexit": runtime.Goexit} {
		for where, place := range map[string]func(*panicking) client.Option{
			"request editor": func(p *panicking) client.Option {
				return client.WithRequestEditorFn(func(context.Context, *http.Request) error { p.call(); return nil })
			},
			"transport": func(p *panicking) client.Option {
				return client.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
					p.call()
					return http.DefaultTransport.RoundTrip(r)
				}))
			},
			"body": func(p *panicking) client.Option {
				return client.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
					response, err := http.DefaultTransport.RoundTrip(r)
					if err == nil {
						response.Body = struct {
							io.Reader
							io.Closer
						}{io.MultiReader(response.Body, p), response.Body}
					}
					return response, err
				}))
			},
			"attempt hook": func(p *panicking) client.Option {
				return client.WithAttemptHook(func(context.Context, client.Attempt) { p.call() })
			},
			"start of a traced call":      func(p *panicking) client.Option { return client.WithTracer(&recorder{startCall: p.call}) },
			"start of a traced attempt":   func(p *panicking) client.Option { return client.WithTracer(&recorder{startAttempt: p.call}) },
			"outcome of a traced attempt": func(p *panicking) client.Option { return client.WithTracer(&recorder{endAttempt: p.call}) },
			"outcome of a traced call":    func(p *panicking) client.Option { return client.WithTracer(&recorder{endCall: p.call}) },
		} {
			t.Run(where+", "+name, func(t *testing.T) {
				status := 429
				p := new(panicking)
				c := serve(t, func(w http.ResponseWriter, r *http.Request) { respond(status, record, "Retry-After", "1")(w, r) }, place(p), client.WithoutRetries())
				get := func() (err error) {
					err = errors.New("the call did not return")
					done := make(chan struct{})
					go func() {
						defer close(done)
						defer func() { recover() }()
						_, err = c.GetProvider(t.Context(), customerID, providerID)
					}()
					<-done
					return err
				}
				wantKinds(t, get(), client.ErrRateLimited)
				status, p.now = 200, ending
				if err := get(); err == nil {
					t.Error("the call returned")
				}
				p.now = nil
				if err := get(); err != nil {
					t.Errorf("the next call: %v", err)
				}
			})
		}
	}
}

// recorder is a Tracer that records how calls and attempts end.
type recorder struct {
	startCall, endCall, startAttempt, endAttempt func()

	ends []error
}

// StartCall implements [client.Tracer].
func (r *recorder) StartCall(ctx context.Context, _ string) (context.Context, func(error)) {
	callIf(r.startCall)
	return ctx, func(err error) {
		r.ends = append(r.ends, err)
		callIf(r.endCall)
	}
}

// StartAttempt implements [client.Tracer].
func (r *recorder) StartAttempt(ctx context.Context, _ client.Attempt, _ http.Header) (context.Context, func(client.Attempt)) {
	callIf(r.startAttempt)
	return ctx, func(a client.Attempt) {
		r.ends = append(r.ends, a.Err)
		callIf(r.endAttempt)
	}
}

func callIf(f func()) {
	if f != nil {
		f()
	}
}

// TestTracerSeesPanics has a panic end the attempt and the calls around it, and not as a success.
func TestTracerSeesPanics(t *testing.T) {
	traced := new(recorder)
	panics := client.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPatch {
			panic("private")
		}
		w := httptest.NewRecorder()
		respond(200, record, "ETag", `"7"`)(w, r)
		return w.Result(), nil
	}))
	c := newClient(t, "http://api.example", client.WithTracer(traced), panics)
	for name, modify := range map[string]func(*client.Record) (client.ProviderUpdate, error){
		"in a transport":    func(*client.Record) (client.ProviderUpdate, error) { return update, nil },
		"in ModifyProvider": func(*client.Record) (client.ProviderUpdate, error) { panic("private") },
	} {
		traced.ends = nil
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic was hidden", name)
				}
			}()
			c.ModifyProvider(t.Context(), customerID, providerID, modify)
		}()
		if len(traced.ends) < 3 || traced.ends[0] != nil || traced.ends[1] != nil { // those of the read
			t.Fatalf("%s: %v", name, traced.ends)
		}
		for _, err := range traced.ends[2:] {
			if err == nil || strings.Contains(err.Error(), "private") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
