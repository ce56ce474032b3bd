package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestHistoryCommand shows what was done to a record from its making to its end, with the values, in both forms.
func TestHistoryCommand(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	r := a.newRecord()
	a.importLines("acme", asJSON(changes{"id": r.id, "customerId": r.customer, "providerType": "Pharmacy"}))
	const request1, request2 = "11111111-0d44-4b50-8888-8dd25736052a", "22222222-0d44-4b50-8888-8dd25736052a"
	a.send(request{Path: r.path(), Header: http.Header{"X-Request-Id": {request1}}, Body: asJSON(changes{
		"city": nil, "isActive": true, "notes": "\x1b[2J\x07\u009b31m\u202e\u007f\n\t\"é😀\U000e0001",
	})})
	a.send(request{Method: http.MethodDelete, Path: r.path(), Header: http.Header{"X-Request-Id": {request2}}})
	key := a.keyID(a.key)

	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	const when = "2026-01-02T03:04:05.678Z"
	table := times.ReplaceAllString(a.mustRun("", "history", r.id), when)
	table = regexp.MustCompile(`  +`).ReplaceAllString(table, "  ")
	for _, want := range []string{
		"TIME  ORGANIZATION  VERSION  ACTION  BY  REQUEST  CHANGES\n",
		when + "  \"acme\"  1  created  operator  -  customerId: null → \"" + r.customer + "\"\n",
		"  city: null → \"old city\"\n",
		when + "  \"acme\"  2  updated  operator  -  providerType: \"Hospital\" → \"Pharmacy\"\n",
		when + "  \"acme\"  3  updated  " + key + "  " + request1 + "  city: \"old city\" → null\n",
		"  isActive: false → true\n",
		`  notes: "old notes" → "\x1b[2J\a\u009b31m\u202e\x7f\n\t\"é😀\U000e0001"` + "\n",
		when + "  \"acme\"  4  deleted  " + key + "  " + request2 + "  customerId: \"" + r.customer + "\" → null\n",
		"  isActive: true → null\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no line\n%sin\n%s", want, table)
		}
	}

	lines := strings.Split(times.ReplaceAllString(a.mustRun("", "history", "--json", r.id), when), "\n")
	want := `{"organization":"acme","version":3,"at":"` + when + `","action":"updated","keyId":"` + key + `","requestId":"` + request1 + `",` +
		`"changes":[{"field":"city","from":"old city","to":null},{"field":"isActive","from":false,"to":true},` +
		`{"field":"notes","from":"old notes","to":"\u001b[2J\u0007\u009b31m\u202e\u007f\n\t\"é😀\udb40\udc01"}]}`
	if len(lines) != 5 || lines[2] != want || lines[4] != "" {
		t.Errorf("got %d lines\n%s\nwant the third to be\n%s", len(lines), strings.Join(lines, "\n"), want)
	}
}
