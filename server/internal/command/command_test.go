package command

import (
	"os"
	"reflect"
	"regexp"
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

// TestDocumentedExamples parses each command in the code of the documentation.
func TestDocumentedExamples(t *testing.T) {
	example := regexp.MustCompile(`carecycle-server ([a-z][^#` + "`" + `)>|\\\n]*)`)
	argument := regexp.MustCompile(`'[^']*'|\S+`)
	for _, file := range []string{"README.md", "docs/operations.md"} {
		text, err := os.ReadFile("../../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		code := regexp.MustCompile("(?s)```sh\n.*?```|`[^`\n]+`").FindAllString(string(text), -1)
		found := 0
		for _, line := range example.FindAllStringSubmatch(strings.Join(code, "\n"), -1) {
			var args []string
			for _, arg := range argument.FindAllString(line[1], -1) {
				args = append(args, strings.Trim(arg, "'"))
			}
			if _, err := newParser(new(commands)).Parse(args); err != nil {
				t.Errorf("%s: %q: %v", file, line[0], err)
			}
			found++
		}
		if found < 5 {
			t.Errorf("%s: %d commands were found", file, found)
		}
	}
}

// section returns the part of docs/operations.md below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no section %s", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return part
}

// TestDocumentedCommands compares the table of commands with the command line: each command has a row, and each row is of a command.
func TestDocumentedCommands(t *testing.T) {
	var rows []string
	for line := range strings.Lines(section(t, "Commands")) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.Split(line, " | ")[0])
		}
	}
	used := map[string]bool{}
	everyNode(newParser(new(commands)).Model.Node, func(node *kong.Node) {
		if len(node.Children) > 0 || node.Hidden {
			return
		}
		words := commandWords(node)
		words = strings.TrimSuffix(words, " show") // which history alone means, too
		for _, row := range rows {
			if strings.Contains(row, "`"+words+" ") || strings.Contains(row, "`"+words+"`") {
				used[words], used[row] = true, true
			}
		}
		if !used[words] {
			t.Errorf("docs/operations.md has no command %s", words)
		}
	})
	for _, row := range rows {
		if !used[row] {
			t.Errorf("docs/operations.md documents what is no command: %s", row)
		}
	}
}

// setting is a row of the table in docs/operations.md.
type setting struct{ variable, byDefault string }

// TestSettings compares the table of settings with the command line's flags.
func TestSettings(t *testing.T) {
	documented, meanings := map[string]setting{}, map[string]string{}
	for line := range strings.Lines(section(t, "Settings")) {
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
			meanings[strings.Trim(name, "-`")] = cells[3]
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
			words := commandWords(node)
			group, _, _ := strings.Cut(words, " ")
			if meaning := meanings[flag.Name]; node.Type == kong.CommandNode && words != "serve" && len(node.Children) == 0 &&
				!strings.Contains(meaning, "`"+words+"`") && !strings.Contains(meaning, "`"+group+"`") {
				t.Errorf("docs/operations.md does not say that --%s is of %s: %s", flag.Name, words, meaning)
			}
		}
	})
	for name := range documented {
		if !seen[name] {
			t.Errorf("docs/operations.md documents --%s, which no command has", name)
		}
	}
}
