package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/client"
	"golang.org/x/time/rate"
)

// limitedAPI responds like the API to a key with a limit, after a while. Its zero latency and limit are none.
type limitedAPI struct {
	perMinute int
	latency   time.Duration
	silent    bool // without the headers RateLimit and RateLimit-Policy

	once               sync.Once
	limiter            *rate.Limiter
	accepted, rejected atomic.Int32
}

// RoundTrip implements [http.RoundTripper].
func (a *limitedAPI) RoundTrip(*http.Request) (*http.Response, error) {
	a.once.Do(func() { a.limiter = rate.NewLimiter(rate.Limit(a.perMinute)/60, a.perMinute) })
	time.Sleep(a.latency / 2)
	w := httptest.NewRecorder()
	allowed := a.limiter.Allow()
	if tokens := a.limiter.Tokens(); !a.silent {
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"key";q=%d;w=60`, a.perMinute))
		w.Header().Set("RateLimit", fmt.Sprintf(`"key";r=%d;t=60`, max(0, int(tokens))))
	}
	if allowed {
		a.accepted.Add(1)
		respond(200, record)(w, nil)
	} else {
		a.rejected.Add(1)
		respond(429, `{"message":"Wait.","code":"RATE_LIMIT_EXCEEDED","retryAfter":1}`, "Retry-After", "1")(w, nil)
	}
	time.Sleep(a.latency / 2)
	return w.Result(), nil
}

func newPaced(t *testing.T, api http.RoundTripper, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(apiKey, append([]client.Option{client.WithTransport(api)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCrowdUnderARateLimit has 64 callers who together call as often as they can.
func TestCrowdUnderARateLimit(t *testing.T) {
	const callers, perMinute, calls = 64, 600, 3000
	for name, test := range map[string]struct {
		api      *limitedAPI
		rejected float64 // of all requests, at most: some more than are seen, which depends on the order in which goroutines run
	}{
		"told by headers":    {&limitedAPI{perMinute: perMinute, latency: 20 * time.Millisecond}, 0.04},
		"told from afar":     {&limitedAPI{perMinute: perMinute, latency: 300 * time.Millisecond}, 0.04},
		"told by rejections": {&limitedAPI{perMinute: perMinute, latency: 20 * time.Millisecond, silent: true}, 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newPaced(t, test.api)
				start, next := time.Now(), atomic.Int32{}
				var mu sync.Mutex
				var each []int // calls of each caller
				var longest time.Duration
				var crowd sync.WaitGroup
				for range callers {
					crowd.Go(func() {
						n := 0
						for ; next.Add(1) <= calls; n++ {
							begin := time.Now()
							if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
								t.Errorf("call %d: %v", n, err)
							}
							mu.Lock()
							longest = max(longest, time.Since(begin))
							mu.Unlock()
						}
						mu.Lock()
						each = append(each, n)
						mu.Unlock()
					})
				}
				crowd.Wait()
				took := time.Since(start)
				best := time.Duration(calls-perMinute) * time.Minute / perMinute // the first minute's are there at once
				share := float64(test.api.rejected.Load()) / float64(calls+test.api.rejected.Load())
				t.Logf("%v, at best %v; %.1f %% rejected; from %d to %d calls a caller, the longest %v", took, best, 100*share, slices.Min(each), slices.Max(each), longest)
				if took > best*100/95 {
					t.Errorf("it took %v, want at most %v", took, best*100/95)
				}
				if share > test.rejected {
					t.Errorf("%.1f %% of the requests were rejected", 100*share)
				}
				if spread := slices.Max(each) - slices.Min(each); !test.api.silent && spread > 4 {
					t.Errorf("from %d to %d calls a caller", slices.Min(each), slices.Max(each))
				}
			})
		})
	}
}

// TestPause has one call rejected for 20 seconds: the others wait too, and send nothing meanwhile.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := newPaced(t, transport(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			if since := time.Since(start); since == 0 {
				respond(429, "", "Retry-After", "20")(w, nil)
			} else if since < 20*time.Second {
				t.Errorf("a request after %v", since)
			} else {
				respond(200, record)(w, nil)
			}
			return w.Result(), nil
		}))
		var crowd sync.WaitGroup
		for n := range 10 {
			crowd.Go(func() {
				time.Sleep(time.Duration(n) * time.Second)
				if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		crowd.Go(func() {
			time.Sleep(time.Second)
			_, err := c.GetProvider(ctx, customerID, providerID)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second || !strings.Contains(err.Error(), "nothing was sent") {
				t.Errorf("a call whose context ends in the pause: after %v, %v", time.Since(start), err)
			}
		})
		crowd.Wait()
		if took := time.Since(start); took > 21*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestLongPause has a pause that is longer than a call may take: it fails at once, and sends nothing.
func TestLongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		c := newPaced(t, transport(func(*http.Request) (*http.Response, error) {
			requests++
			w := httptest.NewRecorder()
			respond(429, `{"message":"Wait.","code":"RATE_LIMIT_EXCEEDED","retryAfter":60}`)(w, nil)
			return w.Result(), nil
		}))
		_, err := c.UpdateProvider(t.Context(), customerID, providerID, update)
		wantKinds(t, err, client.ErrRateLimited)
		time.Sleep(10 * time.Second)
		start := time.Now()
		_, err = c.UpdateProvider(t.Context(), customerID, providerID, update)
		wantKinds(t, err, client.ErrRateLimited)
		if got := asError(t, err); got.RetryAfter != 50*time.Second || got.Attempts != 0 || time.Since(start) != 0 || requests != 1 {
			t.Errorf("after %v and %d requests: %+v", time.Since(start), requests, got)
		}
		time.Sleep(50 * time.Second)
		_, err = c.UpdateProvider(t.Context(), customerID, providerID, update)
		if wantKinds(t, err, client.ErrRateLimited); requests != 2 {
			t.Errorf("%d requests after the pause, want 2 in all", requests)
		}
	})
}

func TestWithRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		start := time.Now()
		c := newPaced(t, transport(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start))
			w := httptest.NewRecorder()
			if len(at) == 3 {
				respond(503, "")(w, nil)
			} else {
				respond(200, record)(w, nil)
			}
			return w.Result(), nil
		}), client.WithRateLimit(60))
		var crowd sync.WaitGroup
		for range 10 {
			crowd.Go(func() {
				if _, err := c.GetProvider(t.Context(), customerID, providerID); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		if len(at) != 11 {
			t.Fatalf("%d requests, want 11 with the retry", len(at))
		}
		for n := 1; n < len(at); n++ {
			if at[n]-at[n-1] < time.Second-time.Millisecond || at[n]-at[n-1] > time.Second+time.Millisecond {
				t.Errorf("requests after %v", at)
				break
			}
		}
	})
}

// TestRetryQuota has a server that is down, for 100 calls, and then is not.
func TestRetryQuota(t *testing.T) {
	requests, down := 0, true
	c := newClient(t, "http://api.example", client.WithTransport(transport(func(*http.Request) (*http.Response, error) {
		requests++
		w := httptest.NewRecorder()
		if down {
			respond(503, "")(w, nil)
		} else {
			respond(200, record)(w, nil)
		}
		return w.Result(), nil
	})))
	call := func(n int) (sent int, err error) {
		before := requests
		for range n {
			_, err = c.UpdateProvider(t.Context(), customerID, providerID, update)
		}
		return requests - before, err
	}
	sent, err := call(100)
	wantKinds(t, err, client.ErrUnavailable, client.ErrOutcomeUnknown)
	if sent > 130 || sent < 110 || !strings.Contains(err.Error(), "not repeated, as too many calls of this client have failed") {
		t.Errorf("%d requests for 100 calls; %v", sent, err)
	}
	down = false
	if sent, err := call(100); sent != 100 || err != nil {
		t.Errorf("%d requests for 100 calls, and %v", sent, err)
	}
	down = true
	if sent, _ := call(2); sent != 2*client.DefaultAttempts {
		t.Errorf("after 100 successes: %d requests for 2 calls", sent)
	}
}

// TestLimitsOf reads what servers say of their limits.
func TestLimitsOf(t *testing.T) {
	for _, test := range []struct {
		policy, limit string
		calls         int // that are sent at once
	}{
		{"", "", 20},
		{`"key";q=60;w=60`, `"key";r=5;t=55`, 6},
		{`"day";q=1000;w=86400, "key";q=60;w=60`, `"day";r=900;t=100, "key";r=2;t=58`, 3},
		{`"key";w=60;q=60`, `"key";t=55;r=0`, 1},
		{"", `"key";r=0;t=55`, 1},
		{"", `"key";r=5;t=55`, 20}, // of no pace
		{`"key";q=60`, `"key";r=x;t=55`, 20},
		{`;;,,=`, `;;,,=;r=`, 20},
		{`"key";q=99999999999999999999;w=1`, `"key";r=-1`, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			c := newPaced(t, transport(func(*http.Request) (*http.Response, error) {
				header := http.Header{"Content-Type": {"application/json"}}
				if sent++; sent == 1 {
					header["Ratelimit-Policy"], header["Ratelimit"] = []string{test.policy}, []string{test.limit}
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(record)), Header: header}, nil
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			for range 20 {
				c.GetProvider(ctx, customerID, providerID)
			}
			if sent != test.calls {
				t.Errorf("%q, %q: %d requests at once, want %d", test.policy, test.limit, sent, test.calls)
			}
		})
	}
}
