package client_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/client"
	"github.com/google/uuid"
)

// An ID of one kind does not do for the other, and text is none.
func TestIDsAreDistinct(t *testing.T) {
	customer, provider := reflect.TypeFor[client.CustomerID](), reflect.TypeFor[client.ProviderID]()
	for _, other := range []reflect.Type{provider, reflect.TypeFor[uuid.UUID](), reflect.TypeFor[string]()} {
		if other.AssignableTo(customer) {
			t.Errorf("a %v can be given as a CustomerID", other)
		}
	}
	if customer.AssignableTo(provider) {
		t.Error("a CustomerID can be given as a ProviderID")
	}
}

func TestIDsAsText(t *testing.T) {
	const text = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	customer, err := client.ParseCustomerID(strings.ToUpper(text))
	if err != nil || customer.String() != text || uuid.UUID(customer) != uuid.MustParse(text) || fmt.Sprint(customer) != text {
		t.Errorf("%v, %v", customer, err)
	}
	provider, err := client.ParseProviderID(text)
	if err != nil || provider != client.ProviderID(customer) || provider.String() != text {
		t.Errorf("%v, %v", provider, err)
	}
	type both struct {
		C client.CustomerID
		P client.ProviderID
	}
	body, err := json.Marshal(both{customer, provider})
	if err != nil || string(body) != `{"C":"`+text+`","P":"`+text+`"}` {
		t.Errorf("%s, %v", body, err)
	}
	var back both
	if err := json.Unmarshal(body, &back); err != nil || back != (both{customer, provider}) {
		t.Errorf("%+v, %v", back, err)
	}
	for _, wrong := range []string{"", "private", text + " ", "{" + text + "}", "urn:uuid:" + text, strings.ReplaceAll(text, "-", "")} {
		for _, err := range []error{
			second(client.ParseCustomerID(wrong)), second(client.ParseProviderID(wrong)), json.Unmarshal([]byte(`{"C":"`+wrong+`"}`), &back),
		} {
			if err == nil || strings.Contains(err.Error(), "private") {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The contract allows the nil UUID, so the zero ID is sent.
func TestZeroIDs(t *testing.T) {

	c := serve(t, respond(404, `{"message":"No.","code":"NOT_FOUND"}`))
	_, err := c.GetProvider(t.Context(), client.CustomerID{}, client.ProviderID{})
	wantKinds(t, err, client.ErrNotFound)
}
