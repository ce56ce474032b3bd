// Command compat checks that the contract and package client keep what README.md promises to consumers, section "Versions".
//
//	compat check       fails if either breaks programs that were written for the last release
//	compat note [REF]  prints what changed in the contract since REF, or since the last release, as Markdown
//
// `make compatible` and `make contract-diff` run it. oasdiff and apidiff find the changes; severities.txt says which of
// them break a program, where oasdiff says otherwise.
//
// It is a separate module because oasdiff needs two dozen modules, which would otherwise be in the module graph of every
// consumer of package client.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "check":
		return check(root, stdout)
	case len(args) == 1 && args[0] == "note":
		return note(root, "", stdout)
	case len(args) == 2 && args[0] == "note":
		return note(root, args[1], stdout)
	}
	return errors.New("usage: compat check, or compat note [REF]")
}

const noTag = "There is no released tag (vMAJOR.MINOR.PATCH) in this clone"

var errBroken = errors.New(`a minor version may not do this; see "Versions" in README.md, and client/compat/severities.txt`)

// check compares the working tree at root with its last release.
func check(root string, stdout io.Writer) error {
	tag := lastTag(root)
	if tag == "" {
		fmt.Fprintln(stdout, noTag+", so there is nothing to be compatible with.")
		return nil
	}
	work, err := os.MkdirTemp("", "compat")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	release := filepath.Join(work, tag)
	if err := checkOut(root, tag, release); err != nil {
		return err
	}
	before, err := modulePath(release)
	if err != nil {
		return err
	}
	after, err := modulePath(root)
	if err != nil {
		return err
	}
	if before != after {
		fmt.Fprintf(stdout, "%s is another major version, which consumers import as %s; there is nothing to be compatible with.\n", tag, before)
		return nil
	}

	broken, err := breakingChanges(release, root)
	switch {
	case err != nil:
		return err
	case len(broken) == 0:
		fmt.Fprintf(stdout, "package client and openapi.yaml are compatible with %s.\n", tag)
		return nil
	}
	fmt.Fprintf(stdout, "%s\nThis breaks programs that were written for %s.\n", strings.Join(broken, "\n"), tag)
	if strings.HasPrefix(tag, "v0.") {
		fmt.Fprintln(stdout, "That is allowed before v1.0.0.")
		return nil
	}
	return errBroken
}

func modulePath(directory string) (string, error) {
	text, err := os.ReadFile(filepath.Join(directory, "go.mod"))
	return modfile.ModulePath(text), err
}

// breakingChanges returns a line for each thing in which the module in the directory after breaks programs that were written
// for the one in before.
func breakingChanges(before, after string) ([]string, error) {
	lost, err := compareGo(before, after)
	if err != nil {
		return nil, err
	}
	old, err := os.ReadFile(filepath.Join(before, "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	new, err := os.ReadFile(filepath.Join(after, "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	changes, err := compareContracts(old, new)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, message := range lost {
		broken = append(broken, "client: "+message)
	}
	for _, c := range changes {
		if c.Breaking {
			broken = append(broken, "openapi.yaml: "+c.String())
		}
	}
	return broken, nil
}

// note prints what changed for consumers between the contract at ref, a commit or a tag, and the one in the working tree
// at root. An empty ref is the last release.
func note(root, ref string, stdout io.Writer) error {
	if ref == "" {
		if ref = lastTag(root); ref == "" {
			fmt.Fprintln(stdout, noTag+", so there are no changes to list. To compare with a commit: make contract-diff BASE=<commit>")
			return nil
		}
	}
	commit, err := git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return fmt.Errorf("BASE=%s is not a commit, a branch or a tag of this repository", ref)
	}
	before, err := git(root, "show", commit+":openapi.yaml")
	if err != nil {
		return fmt.Errorf("there is no openapi.yaml at %s", ref)
	}
	after, err := os.ReadFile(filepath.Join(root, "openapi.yaml"))
	if err != nil {
		return err
	}
	changes, err := compareContracts([]byte(before), after)
	if err != nil {
		return err
	}
	same := before == strings.TrimSuffix(string(after), "\n")
	_, err = io.WriteString(stdout, releaseNote(ref, changes, same))
	return err
}

// releaseNote returns the changes since ref as Markdown. With same, the contract did not change by a byte.
func releaseNote(ref string, changes []change, same bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Changes to the API since %s\n", ref)
	switch {
	case same:
		b.WriteString("\nNothing changed: openapi.yaml is the same.\n")
	case len(changes) == 0:
		b.WriteString("\nNothing changed for a program. The descriptions or examples in openapi.yaml did.\n")
	}
	for _, section := range []struct {
		title string
		has   func(change) bool
	}{
		{"Breaking", func(c change) bool { return c.Breaking }},
		{"Added", change.added},
		{"Changed", func(c change) bool { return !c.Breaking && !c.added() }},
	} {
		title := "\n## " + section.title + "\n\n"
		for _, c := range changes {
			if section.has(c) {
				line := c.String()
				fmt.Fprintf(&b, "%s- %s%s\n", title, strings.ToUpper(line[:1]), line[1:])
				title = ""
			}
		}
	}
	return b.String()
}
