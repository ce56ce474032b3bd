package command

import (
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
