package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files of a small module with a contract.
const (
	goMod    = "module example.com/api\n\ngo 1.26.0\n"
	goClient = "// Package client is one.\npackage client\n\n// Do does it.\nfunc Do() {}\n"
	yamlFile = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
paths:
  /notes:
    get:
      operationId: listNotes
      x-required-permission: read
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 100, default: 50}}
      responses:
        '200': {description: The notes.}
        '404': {description: There are none.}
`
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name        string
		tag         string
		file        string // that changes after the tag
		old, new    string
		stdout, err string
	}{
		{"no tag", "", "openapi.yaml", "'404'", "'410'",
			"There is no released tag (vMAJOR.MINOR.PATCH) in this clone, so there is nothing to be compatible with.\n", ""},
		{"a pre-release only", "v1.0.0-rc.1", "openapi.yaml", "'404'", "'410'",
			"There is no released tag (vMAJOR.MINOR.PATCH) in this clone, so there is nothing to be compatible with.\n", ""},
		{"an allowed change", "v1.0.0", "openapi.yaml", "maximum: 100", "maximum: 200",
			"package client and openapi.yaml are compatible with v1.0.0.\n", ""},
		{"a breaking change", "v1.0.0", "openapi.yaml", "x-required-permission: read", "x-required-permission: write",
			"openapi.yaml: the permission that a key needs was changed from `read` to `write`: `GET /notes`\n" +
				"This breaks programs that were written for v1.0.0.\n", errBroken.Error()},
		{"a breaking change before v1.0.0", "v0.9.0", "openapi.yaml", "default: 50", "default: 10",
			"openapi.yaml: for the `query` request parameter `limit`, default value was changed from `50.00` to `10.00`: `GET /notes`\n" +
				"This breaks programs that were written for v0.9.0.\nThat is allowed before v1.0.0.\n", ""},
		{"a function that is gone", "v1.0.0", "client/client.go", "func Do()", "func Did()",
			"client: Do: removed\nThis breaks programs that were written for v1.0.0.\n", errBroken.Error()},
		{"a new function", "v1.0.0", "client/client.go", "func Do() {}", "func Do() {}\n\n// Undo undoes it.\nfunc Undo() {}",
			"package client and openapi.yaml are compatible with v1.0.0.\n", ""},
		{"another major version", "v1.0.0", "go.mod", "example.com/api", "example.com/api/v2",
			"v1.0.0 is another major version, which consumers import as example.com/api; there is nothing to be compatible with.\n", ""},
		{"a contract that cannot be read", "v1.0.0", "openapi.yaml", "paths:", "paths",
			"", "read openapi.yaml: "},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			root := newRepository(t, tt.tag)
			replace(t, filepath.Join(root, tt.file), tt.old, tt.new)
			var stdout bytes.Buffer
			message := ""
			if err := check(root, &stdout); err != nil {
				message = err.Error()
			}
			if got := stdout.String(); got != tt.stdout {
				t.Errorf("got\n%s\nwant\n%s", got, tt.stdout)
			}
			if (tt.err == "") != (message == "") || !strings.HasPrefix(message, tt.err) {
				t.Errorf("got the error %q, want %q", message, tt.err)
			}
		})
	}
}

func TestNote(t *testing.T) {
	for _, tt := range []struct {
		name, tag, ref string
		old, new       string // in openapi.yaml, after the tag
		stdout, err    string
	}{
		{"no tag", "", "", "'404'", "'410'",
			"There is no released tag (vMAJOR.MINOR.PATCH) in this clone, so there are no changes to list. " +
				"To compare with a commit: make contract-diff BASE=<commit>\n", ""},
		{"a commit", "", "HEAD", "'404'", "'410'", `# Changes to the API since HEAD

## Breaking

- Removed the non-success response with the status ` + "`404`: `GET /notes`" + `

## Added

- Added the non-success response with the status ` + "`410`: `GET /notes`" + `
`, ""},
		{"no such commit", "", "main~100", "", "", "", "BASE=main~100 is not a commit, a branch or a tag of this repository"},
		{"an option instead of a commit", "", "--all", "", "", "", "BASE=--all is not a commit, a branch or a tag of this repository"},
		{"nothing", "v1.0.0", "", "", "", "# Changes to the API since v1.0.0\n\nNothing changed: openapi.yaml is the same.\n", ""},
		{"a description", "v1.0.0", "", "There are none.", "There are no notes.", "# Changes to the API since v1.0.0\n\n" +
			"Nothing changed for a program. The descriptions or examples in openapi.yaml did.\n", ""},
		{"a limit", "v1.0.0", "", "maximum: 100", "maximum: 200", "# Changes to the API since v1.0.0\n\n## Changed\n\n" +
			"- For the `query` request parameter `limit`, the max was increased from `100.00` to `200.00`: `GET /notes`\n", ""},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			root := newRepository(t, tt.tag)
			if tt.old != "" {
				replace(t, filepath.Join(root, "openapi.yaml"), tt.old, tt.new)
			}
			var stdout bytes.Buffer
			message := ""
			if err := note(root, tt.ref, &stdout); err != nil {
				message = err.Error()
			}
			if got := stdout.String(); got != tt.stdout {
				t.Errorf("got\n%s\nwant\n%s", got, tt.stdout)
			}
			if message != tt.err {
				t.Errorf("got the error %q, want %q", message, tt.err)
			}
		})
	}
}

// TestNoteMerges expects one line for a change of a schema that several operations share, and for what all operations have.
func TestNoteMerges(t *testing.T) {
	const before = `
openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
paths:
  /notes:
    get: {operationId: a, parameters: [{$ref: '#/components/parameters/In'}], responses: {'200': {$ref: '#/components/responses/List'}}}
  /note:
    get: {operationId: b, parameters: [{$ref: '#/components/parameters/In'}], responses: {'200': {$ref: '#/components/responses/Note'}}}
    post: {operationId: c, parameters: [{$ref: '#/components/parameters/In'}], responses: {'201': {$ref: '#/components/responses/Note'}}}
components:
  parameters:
    In: {name: in, in: query, schema: {type: string, maxLength: 10}}
  responses:
    List: {description: All., content: {application/json: {schema: {type: object, properties: {data: {type: array, items: {$ref: '#/components/schemas/Note'}}}}}}}
    Note: {description: One., content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
  schemas:
    Note: {type: object, required: [text, kind], properties: {text: {type: string}, kind: {type: string, enum: [long]}}}
`
	after := strings.NewReplacer("maxLength: 10", "maxLength: 20", "[long]", "[long, short]", "required: [text, kind]", "required: [kind]",
		"responses: {'201'", "responses: {'409': {description: It is there.}, '201'").Replace(before)
	changes, err := compareContracts([]byte(before), []byte(after))
	if err != nil {
		t.Fatal(err)
	}
	const want = `# Changes to the API since v1.0.0

## Breaking

- The response property 'text' became optional, in every operation

## Added

- Added the non-success response with the status '409': 'POST /note'
- Added the new 'short' enum value to the 'kind' response property, in every operation

## Changed

- For the 'query' request parameter 'in', the maxLength was increased from '10' to '20', in every operation
`
	if got := strings.ReplaceAll(releaseNote("v1.0.0", changes, false), "`", "'"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// newRepository creates a repository with one commit, which has the tag unless that is empty.
func newRepository(t *testing.T, tag string) string {
	t.Helper()
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull, "GOWORK": "off",
		"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
	} {
		t.Setenv(name, value)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": goMod, "openapi.yaml": yamlFile,
		"client/client.go": goClient,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "Start"}}
	if tag != "" {
		commands = append(commands, []string{"tag", tag})
	}
	for _, args := range commands {
		if _, err := git(root, args...); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func replace(t *testing.T, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s does not have %q once", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
