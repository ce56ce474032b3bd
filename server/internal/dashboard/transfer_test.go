package dashboard_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/google/uuid"
)

// upload sends a form with a file, and its token if there is one.
func (v *visitor) upload(path, token string, file []byte) reply {
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
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header.Get("Location"), response.Header, string(text)}
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SQLite")
	number, _, _ := s.organization("Clinic “Süd”")
	s.organization("Hospital") // whose records are not in the export
	v := s.signedIn(s.member("ada@example.com", number, account.Developer))
	page := fmt.Sprintf("/dashboard/organizations/%d/", number)
	lines := func(n int, valid bool) []byte {
		var file strings.Builder
		for i := range n {
			kind := "Hospital"
			if !valid && i%2 == 1 {
				kind = "canary of a value"
			}
			fmt.Fprintf(&file, `{"customerId": "%s", "providerType": "%s", "providerName": "Name %d"}`+"\n", uuid.NewString(), kind, i)
		}
		return []byte(file.String())
	}

	bad := v.upload(page+"import", v.token(), lines(50, false))
	if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, "25 lines are invalid, so nothing was imported") ||
		strings.Count(bad.body, "<tr><td>") != 20 || strings.Contains(bad.body, "canary") {
		t.Errorf("invalid lines: got %d\n%s", bad.status, bad.body)
	}
	if got := v.upload(page+"import", "", lines(1, true)); got.status != http.StatusForbidden {
		t.Errorf("without a token: got %d", got.status)
	}
	file := lines(5000, true) // more than a form may have
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
