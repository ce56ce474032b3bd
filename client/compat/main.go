// Command compat holds the contract and package client to what README.md promises to consumers, section "Versions".
//
//	compat check       fails if either breaks a program that was written for the last release
//	compat note [REF]  writes what changed in the contract since REF, or since the last release, as Markdown
//
// `make compatible` and `make contract-diff` run it. The verdicts are those of oasdiff and apidiff; severities.txt has the
// levels where they differ from oasdiff's own.
//
// It is a module of its own: in go.mod the tools would add two dozen modules to those that the build of a consumer knows of.
package main

import (
	"bytes"
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
	old := filepath.Join(work, "old")
	if err := checkOut(root, tag, old); err != nil {
		return err
	}
	before, err := readModule(old)
	if err != nil {
		return err
	}
	after, err := readModule(root)
	if err != nil {
		return err
	}
	if before.path != after.path {
		fmt.Fprintf(stdout, "%s is another major version, which consumers import as %s; there is nothing to be compatible with.\n", tag, before.path)
		return nil
	}

	lost, err := compareGo(old, root)
	if err != nil {
		return err
	}
	changes, err := compareContracts(before.contract, after.contract)
	if err != nil {
		return err
	}
	var broken bytes.Buffer
	for _, message := range lost {
		fmt.Fprintf(&broken, "client: %s\n", message)
	}
	for _, c := range changes {
		if c.Breaking {
			fmt.Fprintf(&broken, "openapi.yaml: %s\n", c)
		}
	}
	switch {
	case broken.Len() == 0:
		fmt.Fprintf(stdout, "package client and openapi.yaml are compatible with %s.\n", tag)
		return nil
	case strings.HasPrefix(tag, "v0."):
		fmt.Fprintf(stdout, "%s\nThis breaks programs that were written for %s, which is allowed before v1.0.0.\n", strings.TrimSpace(broken.String()), tag)
		return nil
	}
	fmt.Fprintf(stdout, "%s\nThis breaks programs that were written for %s.\n", strings.TrimSpace(broken.String()), tag)
	return errBroken
}

// module is what check reads of a directory besides its Go code.
type module struct {
	path     string
	contract []byte
}

func readModule(directory string) (module, error) {
	mod, err := os.ReadFile(filepath.Join(directory, "go.mod"))
	if err != nil {
		return module{}, err
	}
	contract, err := os.ReadFile(filepath.Join(directory, "openapi.yaml"))
	return module{modfile.ModulePath(mod), contract}, err
}

// note writes what the contract in the working tree at root changes for a consumer of the contract at ref, a commit or a
// tag. An empty ref is the last release.
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

// releaseNote returns the changes since ref as Markdown; same says that not even a word of the contract changed.
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
