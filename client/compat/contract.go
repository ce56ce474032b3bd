package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/flatten/commonparams"
	"github.com/oasdiff/oasdiff/load"
)

//go:embed severities.txt
var severitiesFile string

// change is one difference between two versions of the contract, with all operations that have it.
type change struct {
	ID         string   // of the check that found it: oasdiff's, or one of ours
	Text       string   // what changed, in English, without a full stop
	Operations []string // where, such as "PATCH /v2/customers/{id}"; none if it is about all of the contract
	Breaking   bool     // for a consumer, within a major version
}

// added reports whether the change only adds something that a consumer may use.
func (c change) added() bool {
	return !c.Breaking && (strings.HasPrefix(c.ID, "new-") || strings.HasSuffix(c.ID, "-added"))
}

// String returns the change as one line of Markdown.
func (c change) String() string {
	if len(c.Operations) == 0 {
		return c.Text
	}
	return c.Text + ": `" + strings.Join(c.Operations, "`, `") + "`"
}

// compareContracts returns what changes for programs between two versions of the contract, given as YAML. Descriptions and
// examples do not count.
func compareContracts(base, revision []byte) ([]change, error) {
	before, err := readContract(base)
	if err != nil {
		return nil, fmt.Errorf("read the older openapi.yaml: %w", err)
	}
	after, err := readContract(revision)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	levels, ours, err := parseSeverities(severitiesFile)
	if err != nil {
		return nil, fmt.Errorf("severities.txt: %w", err)
	}
	found, err := compareWithOasdiff(before, after, levels)
	if err != nil {
		return nil, err
	}
	for _, f := range compareOurs(before, after) {
		if f.level = ours[f.id]; f.level != checker.NONE {
			found = append(found, f)
		}
	}
	return merge(found, countOperations(after)), nil
}

// readContract parses a contract and moves the parameters of each path into its operations, because oasdiff compares those only.
func readContract(text []byte) (*openapi3.T, error) {
	contract, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		commonparams.Move(contract)
	}
	return contract, err
}

// finding is what one check says about one operation, or about the whole contract if operation is empty.
type finding struct {
	id, text, operation string
	level               checker.Level
}

func compareWithOasdiff(before, after *openapi3.T, levels map[string]checker.Level) ([]finding, error) {
	difference, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), &load.SpecInfo{Spec: before}, &load.SpecInfo{Spec: after})
	if err != nil {
		return nil, fmt.Errorf("compare with oasdiff: %w", err)
	}
	config := checker.NewConfig(checker.GetAllChecks(), checker.WithSeverityLevels(levels))
	var found []finding
	for _, c := range checker.CheckBackwardCompatibilityUntilLevel(config, difference, sources, checker.INFO) {
		text := c.GetUncolorizedText(checker.NewDefaultLocalizer())
		found = append(found, finding{c.GetId(), text, strings.TrimSpace(c.GetOperation() + " " + c.GetPath()), c.GetLevel()})
	}
	return found, nil
}

// merge turns findings into changes: a change of a shared schema is found once in each operation and status. The contract
// has this many operations.
func merge(found []finding, operations int) []change {
	var merged []change
	for _, f := range found {
		text := placeInText.ReplaceAllString(f.text, "")
		i := slices.IndexFunc(merged, func(c change) bool { return c.ID == f.id && c.Text == text })
		if i < 0 {
			i = len(merged)
			merged = append(merged, change{ID: f.id, Text: text, Breaking: f.level.IsBreaking()})
		}
		if f.operation != "" && !slices.Contains(merged[i].Operations, f.operation) {
			merged[i].Operations = append(merged[i].Operations, f.operation)
		}
	}
	for i, c := range merged {
		if len(c.Operations) == operations && operations > 1 {
			merged[i].Text, merged[i].Operations = c.Text+", in every operation", nil
		}
	}
	slices.SortFunc(merged, func(a, b change) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Text, b.Text)) })
	return merged
}

// placeInText matches what differs in oasdiff's texts between the places of one schema: the status, and the list around a record.
var placeInText = regexp.MustCompile("data/items/| for the (response )?status `\\d+`| for status `\\d+`| with the `\\d+` status")

func countOperations(contract *openapi3.T) int {
	n := 0
	for _, item := range contract.Paths.Map() {
		n += len(item.Operations())
	}
	return n
}

// ourChecks are the checks that oasdiff lacks.
var ourChecks = []string{
	"operation-permission-changed",
	"request-additional-properties-refused", "request-additional-properties-accepted",
	"server-removed", "server-added",
}

// parseSeverities reads lines of the form "ID LEVEL # REASON" and returns the levels of oasdiff's checks and of ours.
func parseSeverities(text string) (oasdiffs, ours map[string]checker.Level, err error) {
	oasdiffs, ours = map[string]checker.Level{}, map[string]checker.Level{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		setting, reason, _ := strings.Cut(line, "#")
		if strings.TrimSpace(setting) == "" {
			continue
		}
		if strings.TrimSpace(reason) == "" {
			return nil, nil, fmt.Errorf("line %d gives no reason; write one after #", number)
		}
		words := strings.Fields(setting)
		if len(words) == 2 && slices.Contains(ourChecks, words[0]) {
			if ours[words[0]], err = checker.NewLevel(words[1]); err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", number, err)
			}
			continue
		}
		level, err := checker.GetSeverityLevels(strings.NewReader(setting))
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", number, err)
		}
		maps.Copy(oasdiffs, level)
	}
	for _, id := range ourChecks {
		if _, ok := ours[id]; !ok {
			return nil, nil, fmt.Errorf("there is no level for %s", id)
		}
	}
	return oasdiffs, ours, nil
}

// compareOurs runs ourChecks.
func compareOurs(before, after *openapi3.T) []finding {
	var found []finding
	for _, path := range slices.Sorted(maps.Keys(before.Paths.Map())) {
		for method, old := range before.Paths.Value(path).Operations() {
			item := after.Paths.Value(path)
			if item == nil || item.GetOperation(method) == nil {
				continue
			}
			for _, f := range compareOperation(old, item.GetOperation(method)) {
				f.operation = method + " " + path
				found = append(found, f)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.operation, b.operation) })
	return append(found, compareServers(before.Servers, after.Servers)...)
}

func compareOperation(before, after *openapi3.Operation) []finding {
	var found []finding
	const permission = "x-required-permission"
	if old, new := before.Extensions[permission], after.Extensions[permission]; old != new {
		found = append(found, finding{id: "operation-permission-changed", text: fmt.Sprintf("the permission that a key needs was changed from `%v` to `%v`", old, new)})
	}
	if before.RequestBody == nil || after.RequestBody == nil {
		return found
	}
	for mediaType, old := range before.RequestBody.Value.Content {
		if new := after.RequestBody.Value.Content[mediaType]; new != nil {
			found = append(found, compareBody("the request body", old.Schema, new.Schema, map[*openapi3.Schema]bool{})...)
		}
	}
	return found
}

// compareBody finds the objects within a request body that now accept unknown properties, or now refuse them. A schema in seen
// is not compared again.
func compareBody(place string, before, after *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) []finding {
	if before == nil || after == nil || seen[before.Value] {
		return nil
	}
	seen[before.Value] = true
	var found []finding
	switch {
	case !closed(before.Value) && closed(after.Value):
		found = append(found, finding{id: "request-additional-properties-refused", text: place + " refuses properties that are not listed"})
	case closed(before.Value) && !closed(after.Value):
		found = append(found, finding{id: "request-additional-properties-accepted", text: place + " accepts properties that are not listed"})
	}
	for name, property := range before.Value.Properties {
		found = append(found, compareBody("the request property `"+name+"`", property, after.Value.Properties[name], seen)...)
	}
	return append(found, compareBody("an item of "+place, before.Value.Items, after.Value.Items, seen)...)
}

func closed(s *openapi3.Schema) bool {
	return s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
}

func compareServers(before, after openapi3.Servers) []finding {
	var found []finding
	has := func(all openapi3.Servers, url string) bool {
		return slices.ContainsFunc(all, func(s *openapi3.Server) bool { return s.URL == url })
	}
	for _, s := range before {
		if !has(after, s.URL) {
			found = append(found, finding{id: "server-removed", text: "the server `" + s.URL + "` was removed"})
		}
	}
	for _, s := range after {
		if !has(before, s.URL) {
			found = append(found, finding{id: "server-added", text: "the server `" + s.URL + "` was added"})
		}
	}
	return found
}
