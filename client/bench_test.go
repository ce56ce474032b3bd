package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carecycle/provider-api/client"
)

// BenchmarkUpdateProvider compares a call of the client with one that is written by hand, and does no more than it must.
func BenchmarkUpdateProvider(b *testing.B) {
	server := httptest.NewServer(respond(200, record, "ETag", `"7"`, "RateLimit-Policy", `"key";q=1000000;w=1`, "RateLimit", `"key";r=999999;t=1`))
	b.Cleanup(server.Close)
	b.Run("by hand", func(b *testing.B) {
		url := server.URL + "/v2/customers/" + customerID.String() + "/providers/" + providerID.String()
		b.ReportAllocs()
		for b.Loop() {
			if err := updateByHand(b.Context(), url); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("client", func(b *testing.B) {
		c, err := client.New(apiKey, client.WithBaseURL(server.URL))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.UpdateProvider(b.Context(), customerID, providerID, update); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func updateByHand(ctx context.Context, url string) error {
	body, err := json.Marshal(update)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Api-Key", apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	var record client.Provider
	return json.Unmarshal(text, &record)
}
