package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/postgrestest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/transfer"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// TestExport writes what an organization has: its records as they are by now, each once, and its customers without any.
func TestExport(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	a.account("umbrella").newRecords(2)
	r, gone, moved := a.newRecord(), a.newRecord(), a.newRecord()
	empty := uuid.NewString()
	a.importLines("acme", asJSON(changes{"customerId": empty}), asJSON(changes{"customerId": r.customer}))
	a.send(request{Path: r.path(), Body: `{"city":null,"notes":"<b>\u2028\u0007 😀 \"\\"}`})
	a.send(request{Path: moved.path(), Body: asJSON(changes{"customerId": r.customer})})
	if got := a.send(request{Method: http.MethodDelete, Path: gone.path()}); got.Status != http.StatusOK {
		t.Fatalf("delete: %d %s", got.Status, got.Body)
	}
	want := map[string]bool{
		asJSON(r.properties(changes{"city": nil, "notes": "<b>\u2028\u0007 😀 \"\\"})): true,
		asJSON(moved.properties(changes{"customerId": r.customer})):                   true,
		asJSON(changes{"customerId": empty}):                                          true,
		asJSON(changes{"customerId": gone.customer}):                                  true,
		asJSON(changes{"customerId": moved.customer}):                                 true,
	}
	lines := strings.Split(strings.TrimSuffix(a.mustRun("", "export", "--organization", "acme"), "\n"), "\n")
	for _, line := range lines {
		var properties map[string]any
		if err := json.Unmarshal([]byte(line), &properties); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if !want[asJSON(properties)] {
			t.Errorf("got %s", line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("got %d lines, want %d", len(lines), len(want))
	}
}

// TestExportOfNothing exports an organization that has no customers.
func TestExportOfNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newKey("acme")
	if stdout, stderr, code := s.run("", "export", "--organization", "acme"); stdout != "" || stderr != "" || code != 0 {
		t.Errorf("exit code %d, standard output %q, standard error %q", code, stdout, stderr)
	}
}

// TestExportRestores imports an export after changes and a deletion: all is as it was.
func TestExportRestores(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	changed, deleted := a.newRecord(), a.newRecord()
	export := func() string { return a.mustRun("", "export", "--organization", "acme") }
	a.send(request{Path: changed.path(), Body: `{"city":null}`})
	before := export()
	a.send(request{Path: changed.path(), Body: asJSON(newValues(deleted.customer))})
	a.send(request{Method: http.MethodDelete, Path: deleted.path()})
	if export() == before {
		t.Fatal("nothing has changed")
	}
	a.importLines("acme", before)
	if after := export(); after != before {
		t.Errorf("got\n%swant\n%s", after, before)
	}
}

// TestExportIsLossless takes random records from one store to another, and to one of the other kind, by export and
// import. What the others export is the same, byte for byte.
func TestExportIsLossless(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	other, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	first, second := openStore(t), openStore(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		organization := fmt.Sprintf("organization %d", round)
		export := func(s provider.Store) string {
			var out strings.Builder
			number, err := s.FindOrganization(t.Context(), organization)
			if err == nil {
				err = transfer.Export(t.Context(), s, number, &out)
			}
			if err != nil {
				r.Fatal(err)
			}
			return out.String()
		}
		imports := func(s provider.Store, lines string) {
			importer, err := transfer.NewImporter(doc)
			if err == nil {
				importer.Store = s
				importer.Organization, _, err = s.EnsureOrganization(t.Context(), organization)
			}
			if err == nil {
				_, err = importer.Import(t.Context(), strings.NewReader(lines))
			}
			if err != nil {
				r.Fatal(err)
			}
		}
		imports(first, drawLines(r))
		want := export(first)
		for _, s := range []provider.Store{second, other} {
			imports(s, want)
			if got := export(s); got != want {
				r.Fatalf("%T: got\n%swant\n%s", s, got, want)
			}
		}
	})
}

// drawLines draws lines of an import, with every property in every state.
func drawLines(r *rapid.T) string {
	customers := rapid.SliceOfN(rapid.Custom(drawUUID), 1, 3).Draw(r, "customers")
	var lines bytes.Buffer
	for range rapid.IntRange(0, 8).Draw(r, "lines") {
		line := changes{"customerId": rapid.SampledFrom(customers).Draw(r, "customer")}
		if rapid.IntRange(0, 3).Draw(r, "kind") > 0 {
			line["id"] = drawUUID(r)
			for _, f := range fields {
				f.draw(r, line)
			}
		}
		fmt.Fprintln(&lines, asJSON(line))
	}
	return lines.String()
}

func drawUUID(r *rapid.T) string {
	var id uuid.UUID
	copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(r, "UUID"))
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

func (f field) draw(r *rapid.T, line changes) {
	switch state := rapid.IntRange(0, 4).Draw(r, f.name); {
	case f.name == "customerId":
	case f.nullable && state == 0:
		line[f.name] = nil
	case f.nullable && state == 1: // left out
	case f.enum != nil:
		line[f.name] = rapid.SampledFrom(f.enum).Draw(r, f.name)
	case f.limit == 0:
		line[f.name] = rapid.Bool().Draw(r, f.name)
	default:
		text := rapid.StringN(0, f.limit, -1).Draw(r, f.name)
		line[f.name] = strings.ReplaceAll(text, "\x00", "")
	}
}

// TestExportBrokenPipe exports into a pipe whose reader leaves: the program says so and ends.
func TestExportBrokenPipe(t *testing.T) {
	t.Parallel()
	a := newServer(t).account("acme")
	a.newRecords(1000)
	p := program(t.TempDir(), "export", "--organization", "acme", "--database", a.database)
	p.Stdout = nil
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	out.Close()
	err = p.Wait()
	reported := p.stderr.String()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(reported, "carecycle-server: export: ") || strings.Count(reported, "\n") != 1 {
		t.Errorf("%v, standard error %q", err, reported)
	}
}
