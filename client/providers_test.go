package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carecycle/provider-api/client"
)

func TestUpdateProviderSendsThreeStates(t *testing.T) {
	tests := []struct {
		name   string
		update client.ProviderUpdate
		body   string
	}{
		{"nothing", client.ProviderUpdate{}, `{}`},
		{"values", client.ProviderUpdate{Phone: client.Set("+1 555 0100"), IsActive: client.Set(false)}, `{"isActive":false,"phone":"+1 555 0100"}`},
		{"an empty text is a value", client.ProviderUpdate{Notes: client.Set("")}, `{"notes":""}`},
		{"null", client.ProviderUpdate{Phone: client.Clear[string](), IsActive: client.Clear[bool]()}, `{"isActive":null,"phone":null}`},
		{"what cannot be null", client.ProviderUpdate{CustomerID: &customerID, ProviderType: new(client.ProviderTypePharmacy)},
			`{"customerId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","providerType":"Pharmacy"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got *http.Request
			var body []byte
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				body, _ = io.ReadAll(r.Body)
				respond(200, record, "ETag", `"7"`, "X-Request-Id", "request-1")(w, r)
			})
			r, err := c.UpdateProvider(t.Context(), customerID, providerID, test.update, client.IfMatch(`"6"`))
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != test.body {
				t.Errorf("body %s, want %s", body, test.body)
			}
			if want := fmt.Sprintf("PATCH /v2/customers/%s/providers/%s", customerID, providerID); got.Method+" "+got.URL.Path != want {
				t.Errorf("%s %s, want %s", got.Method, got.URL.Path, want)
			}
			if etag := got.Header.Get("If-Match"); etag != `"6"` {
				t.Errorf("If-Match is %s", etag)
			}
			if r.ETag != `"7"` || r.RequestID != "request-1" || r.ID != providerID || r.CustomerID != customerID || *r.ProviderName != "Dr. Ada Example" || r.Phone != nil {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestUpdateProviderSendsNothingThatCannotBeMeant(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	tests := []struct {
		name   string
		update client.ProviderUpdate
		option client.CallOption
		want   string
	}{
		{"the ETag of a server that has none", update, client.IfMatch(""), "IfMatch needs the ETag"},
		{"an ETag without its quotes", update, client.IfMatch("7"), "IfMatch needs the ETag"},
		{"an ETag of two lines", update, client.IfMatch("\"7\"\r\nX: \"8\""), "IfMatch needs the ETag"},
		{"no option", update, nil, "an option of the call is nil"},
		{"text that JSON cannot carry", client.ProviderUpdate{Notes: client.Set("private \xff")}, client.IfMatch("*"), "not valid UTF-8"},
	}
	for _, test := range tests {
		_, err := c.UpdateProvider(t.Context(), customerID, providerID, test.update, test.option)
		if err == nil || !strings.HasPrefix(err.Error(), "update provider: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
			continue
		}
		wantKinds(t, err)
	}
}

func TestCreateProvider(t *testing.T) {
	var body []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		if got := r.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
		respond(201, record, "ETag", `"1"`, "X-Request-Id", "request-1")(w, r)
	})
	r, err := c.CreateProvider(t.Context(), customerID, client.ProviderCreate{
		ProviderType: client.ProviderTypePrimaryCare, ProviderName: new("Dr. Ada Example"), Notes: new(""), IsPrimaryProvider: new(true), IsActive: new(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"isActive":false,"isPrimaryProvider":true,"notes":"","providerName":"Dr. Ada Example","providerType":"Primary Care"}`
	if string(body) != want {
		t.Errorf("body %s, want %s", body, want)
	}
	if r.ETag != `"1"` || r.RequestID != "request-1" || r.ID != providerID || *r.ProviderName != "Dr. Ada Example" || r.Phone != nil {
		t.Errorf("record %+v", r)
	}
}

func TestCreateProviderSendsNothingThatCannotBeMeant(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	tests := []struct {
		name    string
		create  client.ProviderCreate
		options []client.CallOption
		want    string
	}{
		{"a condition", creation, []client.CallOption{client.IfMatch("*")}, "IfMatch is for an update or a deletion"},
		{"no option", creation, []client.CallOption{nil}, "an option of the call is nil"},
		{"text that JSON cannot carry", client.ProviderCreate{Notes: new("private \xff")}, nil, "not valid UTF-8"},
		{"a type that JSON cannot carry", client.ProviderCreate{ProviderType: "private \xff"}, nil, "not valid UTF-8"},
	}
	for _, test := range tests {
		_, err := c.CreateProvider(t.Context(), customerID, test.create, test.options...)
		if err == nil || !strings.HasPrefix(err.Error(), "create provider: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
			continue
		}
		wantKinds(t, err)
	}
}

func TestGetProvider(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) != 0 || r.Header.Get("If-None-Match") != "" {
			t.Errorf("body %s, headers %v", body, r.Header)
		}
		respond(200, record, "ETag", `"7"`, "X-Request-Id", "request-1")(w, r)
	})
	r, err := c.GetProvider(t.Context(), customerID, providerID)
	if err != nil || r.ETag != `"7"` || r.RequestID != "request-1" || *r.ProviderName != "Dr. Ada Example" || r.Phone != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDeleteProvider(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) != 0 || r.Header.Get("If-Match") != `"6"` {
			t.Errorf("body %s, headers %v", body, r.Header)
		}
		respond(200, deleted)(w, r)
	})
	if err := c.DeleteProvider(t.Context(), customerID, providerID, client.IfMatch(`"6"`)); err != nil {
		t.Error(err)
	}
	if err := c.DeleteProvider(t.Context(), customerID, providerID, client.IfMatch("")); err == nil || !strings.Contains(err.Error(), "delete provider: IfMatch needs the ETag") {
		t.Errorf("error %v", err)
	}
}

func TestFields(t *testing.T) {
	t.Run("read back what they write", func(t *testing.T) {
		for _, update := range []client.ProviderUpdate{{}, {Fax: client.Set("1")}, {Fax: client.Set("")}, {Fax: client.Clear[string]()}, {IsActive: client.Set(true)}} {
			text, err := json.Marshal(update)
			if err != nil {
				t.Fatal(err)
			}
			var back client.ProviderUpdate
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			if back != update {
				t.Errorf("%s read back as %+v", text, back)
			}
		}
	})
	t.Run("refuse another type", func(t *testing.T) {
		var update client.ProviderUpdate
		if err := json.Unmarshal([]byte(`{"fax":1}`), &update); err == nil {
			t.Error("no error")
		}
	})
	t.Run("differ by state", func(t *testing.T) {
		var leave client.Field[string]
		states := []client.Field[string]{leave, client.Clear[string](), client.Set(""), client.Set("a")}
		for i, a := range states {
			for j, b := range states {
				if (a == b) != (i == j) {
					t.Errorf("%+v == %+v is %t", a, b, a == b)
				}
			}
		}
		if client.Set(strings.Clone("a")) != client.Set("a") {
			t.Error("equal texts make different fields")
		}
	})
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 6, 17, 19, 7, 23, 709e6, time.UTC)
	tests := []struct {
		text *string
		want time.Time
		ok   bool
	}{
		{new("2026-06-17T19:07:23.709Z"), at, true},
		{new("2026-06-17T21:07:23.709+02:00"), at, true},
		{new("2026-06-17T19:07:23Z"), at.Truncate(time.Second), true},
		{nil, time.Time{}, false},
		{new(""), time.Time{}, false},
		{new("yesterday"), time.Time{}, false},
	}
	for _, test := range tests {
		p := client.Provider{CreatedAt: test.text, UpdatedAt: test.text}
		reads := map[string]func() (time.Time, bool){"CreatedTime": p.CreatedTime, "UpdatedTime": p.UpdatedTime}
		if test.text != nil {
			reads["Time"] = client.HistoryEntry{At: *test.text}.Time
		}
		for name, read := range reads {
			if got, ok := read(); got != test.want || ok != test.ok {
				t.Errorf("%s of %+v is %v, %t; want %v, %t", name, test.text, got, ok, test.want, test.ok)
			}
		}
	}
}

func TestProviderTypesAreTheDocumentedWords(t *testing.T) {
	for want, got := range map[string]client.ProviderType{
		"Primary Care": client.ProviderTypePrimaryCare, "Specialist": client.ProviderTypeSpecialist,
		"Hospital": client.ProviderTypeHospital, "Pharmacy": client.ProviderTypePharmacy,
	} {
		if string(got) != want || !got.Valid() {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
