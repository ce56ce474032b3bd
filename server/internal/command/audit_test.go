package command

import (
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

// unaudited are the commands that touch neither data nor keys, and serve, whose requests are in the audit trail.
var unaudited = []string{"serve", "audit search", "completion", "complete", "man", "version"}

// TestAuditedCommands finds a command that nobody has thought about.
func TestAuditedCommands(t *testing.T) {
	everyNode(newParser(new(commands)).Model.Node, func(node *kong.Node) {
		if node.Type != kong.CommandNode || len(node.Children) > 0 {
			return
		}
		_, audited := node.Target.Interface().(auditedCommand)
		if words := commandWords(node); audited == slices.Contains(unaudited, words) {
			t.Errorf("%s: implement auditedCommand if it reads or changes data or keys, else add it to this test's list, and not both", words)
		}
	})
}
