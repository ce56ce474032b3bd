package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A line without an ID makes a record once. Importing its file again, to complete an import for example, must not undo
// what was changed since.
func TestImportAgainLeavesChanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.newKey("acme")
	const customer = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	line := `{"customerId": "` + customer + `", "providerType": "Hospital", "phone": "from the file"}`
	s.importLines("acme", line)
	s.stop()
	id := onlyProvider(t, s.database)
	s = serve(t, s.database)
	path := "/v2/customers/" + customer + "/providers/" + id
	if a := s.send(request{Path: path, Key: key, Body: `{"phone": "changed"}`}); a.Status != http.StatusOK {
		t.Fatal(a.Body)
	}
	s.importLines("acme", line)
	var record struct{ Phone string }
	a := s.send(request{Path: path, Key: key, Body: `{}`})
	if err := json.Unmarshal([]byte(a.Body), &record); err != nil || record.Phone != "changed" || a.Header.Get("ETag") != `"2"` {
		t.Errorf("after importing again: %s %s", a.Header.Get("ETag"), a.Body)
	}
}

// onlyProvider returns the ID of a database's one provider.
func onlyProvider(t *testing.T, database string) string {
	t.Helper()
	c, err := sqlite.OpenConn(database, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var id uuid.UUID
	err = sqlitex.ExecuteTransient(c, "SELECT id FROM providers", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		s.ColumnBytes(0, id[:])
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func TestEncodedSlashIsNoSlash(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const id = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	s.importLines("acme", `{"id": "`+id+`", "customerId": "`+id+`", "providerType": "Hospital"}`)
	path := "/v2/customers/" + id + "/providers/" + id
	c := s.connect()
	c.say("PATCH %s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"/"+strings.ReplaceAll(path[1:], "/", "%2F"), s.newKey("acme"))
	if a := c.hear(); a.Status != http.StatusNotFound {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
}
