package dashboard_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/dashboard"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// upload sends a form with a file, and its token if there is one.
func (v *visitor) upload(path, token string, file []byte) reply {
	v.t.Helper()
	response := v.beginUpload(path, token, file)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header.Get("Location"), response.Header, string(text)}
}

// beginUpload returns the response of an upload when it has begun.
func (v *visitor) beginUpload(path, token string, file []byte) *http.Response {
	v.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if token != "" {
		form.WriteField("csrf_token", token)
	}
	part, err := form.CreateFormFile("file", "providers.ndjson")
	if err != nil {
		v.t.Fatal(err)
	}
	part.Write(file)
	form.Close()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.url+path, &body)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Origin", v.url)
	response, err := v.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	return response
}

// newLines returns lines of an import, each for a customer of its own.
func newLines(n int) []byte {
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, `{"customerId": "%s", "providerType": "Hospital", "providerName": "Name %d"}`+"\n", uuid.NewString(), i)
	}
	return []byte(file.String())
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic “Süd”")
	s.organization("Hospital") // whose records are not in the export
	v := s.signedIn(s.member("ada@example.com", number, account.Developer))
	page := fmt.Sprintf("/dashboard/organizations/%d/", number)

	invalid := strings.Replace(string(newLines(1)), "Hospital", "canary of a value", 1)
	bad := v.upload(page+"import", v.token(), []byte(string(newLines(25))+strings.Repeat(invalid, 25)))
	if bad.status != http.StatusOK || !strings.Contains(bad.body, "25 lines are invalid, so nothing was imported") || !strings.Contains(bad.body, "the first 20:") ||
		strings.Count(bad.body, "<tr><td>") != 20 || strings.Contains(bad.body, "canary") {
		t.Errorf("invalid lines: got %d\n%s", bad.status, bad.body)
	}
	if got := v.upload(page+"import", "", newLines(1)); got.status != http.StatusForbidden {
		t.Errorf("without a token: got %d", got.status)
	}
	file := newLines(5000) // more than a form may have
	good := v.upload(page+"import", v.token(), file)
	if good.status != http.StatusOK || !strings.Contains(good.body, "Imported 5000 records: 5000 new, 0 changed, 0 unchanged") {
		t.Errorf("got %d\n%s", good.status, good.body)
	}
	if got := v.upload(page+"import", v.token(), file); !strings.Contains(got.body, "0 new, 0 changed, 5000 unchanged") {
		t.Errorf("again: got %d\n%s", got.status, got.body)
	}
	viewer := s.signedIn(s.member("viewer@example.com", number, account.Viewer))
	if got := viewer.upload(page+"import", viewer.token(), file); got.status != http.StatusForbidden {
		t.Errorf("a viewer: got %d", got.status)
	}

	got := viewer.get(page + "export")
	if got.status != http.StatusOK || strings.Count(got.body, "\n") != 5001 || strings.Contains(got.body, "Hospital\"}") ||
		!strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename") {
		t.Errorf("export: got %d, %v, %d lines", got.status, got.header, strings.Count(got.body, "\n"))
	}
	again := v.upload(page+"import", v.token(), []byte(got.body))
	if !strings.Contains(again.body, "Imported 5001 records: 0 new, 0 changed, 5001 unchanged") {
		t.Errorf("import of the export: got %d\n%s", again.status, again.body)
	}
}

// gatedStore is a store whose imports wait for the gate, and fail once they are told to.
type gatedStore struct {
	dashboard.Store
	gate chan struct{}
	fail atomic.Bool
}

func (s *gatedStore) Import(ctx context.Context, organization int64, records []provider.Import, customers []uuid.UUID) (provider.ImportCount, error) {
	if len(records) > 0 {
		if _, ok := <-s.gate; !ok && s.fail.Load() {
			return provider.ImportCount{}, provider.Unavailable(time.Second, errors.New("canary of an error"))
		}
	}
	return s.Store.Import(ctx, organization, records, customers)
}

// TestImportProgress reads the page of an import while the import is at work.
func TestImportProgress(t *testing.T) {
	t.Parallel()
	for _, fail := range []bool{false, true} {
		store := &gatedStore{Store: openers["SQLite"](t, time.Now)(), gate: make(chan struct{}, 1)}
		s := serve(t, store)
		store.gate <- struct{}{}
		number, _, _ := s.organization("Clinic")
		v := s.signedIn(s.member("ada@example.com", number, account.Developer))
		response := v.beginUpload(fmt.Sprintf("/dashboard/organizations/%d/import", number), v.token(), newLines(8000))
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("got %d, %v", response.StatusCode, response.Header)
		}
		page := bufio.NewReader(response.Body)
		until := func(text string) {
			t.Helper()
			for {
				line, err := page.ReadString('\n')
				if strings.Contains(line, text) {
					return
				}
				if err != nil {
					t.Fatalf("the page ends before %q: %v", text, err)
				}
			}
		}
		until("If it ends without one, the connection was lost")
		until("lines are checked")
		until("0 of 8000 lines are imported")
		store.gate <- struct{}{}
		store.fail.Store(fail)
		close(store.gate)
		if fail {
			until("The database cannot be reached, so the import has stopped. 4000 records are imported, and kept.")
		} else {
			until("Imported 8000 records: 8000 new")
		}
		rest, err := io.ReadAll(page)
		if err != nil || strings.Contains(string(rest), "canary") || !strings.Contains(string(rest), "</html>") {
			t.Errorf("the page ends with %v and\n%s", err, rest)
		}
	}
}

// TestLargeUpload announces a file that is too large, and sends nothing of it.
func TestLargeUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic")
	v := s.signedIn(s.member("ada@example.com", number, account.Developer))
	body, end := io.Pipe()
	defer end.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/dashboard/organizations/%d/import", s.url, number), body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = 257 << 20
	response, err := v.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", response.StatusCode)
	}
}
