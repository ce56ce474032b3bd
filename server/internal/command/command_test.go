package command

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// everyNode calls f with the program, each of its commands, and each group of commands.
func everyNode(node *kong.Node, f func(*kong.Node)) {
	f(node)
	for _, child := range node.Children {
		everyNode(child, f)
	}
}

// TestExamples parses the example in the help of each command.
func TestExamples(t *testing.T) {
	everyNode(newParser(new(commands)).Model.Node, func(node *kong.Node) {
		if node.Type == kong.ApplicationNode || node.Hidden {
			return
		}
		_, line, found := strings.Cut(node.Detail, "Example:\n\n    ")
		if !found || !strings.HasPrefix(line, node.FullPath()) {
			t.Errorf("the help of %s ends with %q, want an example of it", node.FullPath(), node.Detail)
			return
		}
		if _, err := newParser(new(commands)).Parse(strings.Fields(line)[1:]); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	})
}

// setting is a row of the table in docs/operations.md.
type setting struct{ variable, byDefault string }

// TestSettings compares the table of settings with the command line's flags.
func TestSettings(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Settings\n")
	table, _, _ = strings.Cut(table, "\n## ")
	documented := map[string]setting{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if !strings.HasPrefix(line, "| `--") {
			continue
		}
		names := strings.Split(cells[0], ", ")
		if len(cells) != 4 || len(names) != len(strings.Split(cells[1], ", ")) {
			t.Errorf("not flag, variable, default and meaning: %s", line)
			continue
		}
		for i, name := range names {
			documented[strings.Trim(name, "-`")] = setting{strings.Trim(strings.Split(cells[1], ", ")[i], "`"), cells[2]}
		}
	}
	seen := map[string]bool{}
	everyNode(newParser(new(commands)).Model.Node, func(node *kong.Node) {
		for _, flag := range node.Flags {
			if flag.Name == "help" || flag.Name == "version" {
				continue
			}
			seen[flag.Name] = true
			row, found := documented[flag.Name]
			byDefault := "`" + flag.Default + "`"
			switch {
			case flag.Target.Kind() == reflect.Pointer: // without it, what it changes stays as it is
				byDefault = row.byDefault
			case flag.IsBool():
				byDefault = "`false`"
			case !flag.HasDefault && row.byDefault == "never":
				byDefault = "never"
			case !flag.HasDefault:
				byDefault = "none"
			}
			if want := (setting{flag.Envs[0], byDefault}); !found || row != want {
				t.Errorf("docs/operations.md has %q for --%s, want %q", row, flag.Name, want)
			}
		}
	})
	for name := range documented {
		if !seen[name] {
			t.Errorf("docs/operations.md documents --%s, which no command has", name)
		}
	}
}
