package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// completions runs a script of a shell that defines how the program's arguments are completed, and returns the lines it prints.
func completions(t *testing.T, shell, prepare, ask string) []string {
	t.Helper()
	directory := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(directory, "carecycle-server")); err != nil {
		t.Fatal(err)
	}
	script, stderr, code := run("", "completion", shell)
	if code != 0 {
		t.Fatal(stderr)
	}
	command := exec.Command(shell, "-c", prepare+"\n"+script+"\n"+ask)
	command.Env = append(os.Environ(), asProgram+"=1", "PATH="+directory+":"+os.Getenv("PATH"), "HOME="+directory)
	command.Dir = directory
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var words []string
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		words = append(words, word)
	}
	return words
}

// TestCompletion completes in each shell. Where no word is known, the shells complete names of files.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, ask := range map[string]func(line string) (prepare, ask string){
		"bash": func(line string) (string, string) {
			return "", "COMP_LINE='" + line + "' COMP_POINT=${#COMP_LINE}; _carecycle_server carecycle-server; printf '%s\\n' \"${COMPREPLY[@]}\""
		},
		"zsh": func(line string) (string, string) { // the builtins work in the line editor only
			return "compdef() { : }; _files() { : }; compset() { [[ $words[CURRENT] == *=* ]] }; compadd() { print -l -- $names }",
				"words=(\"${(@s: :)${:-" + line + "}}\"); CURRENT=$#words; _carecycle_server"
		},
		"fish": func(line string) (string, string) { return "", "complete -C '" + line + "'" },
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			needs(t, shell, shell)
			for line, want := range map[string]string{
				"carecycle-server ke":                                 "keys",
				"carecycle-server keys re":                            "remove revoke",
				"carecycle-server keys create --ra":                   "--rate-limit",
				"carecycle-server --database x.db keys li":            "list",
				"carecycle-server keys create --permission providers": "providers:read providers:write",
				"carecycle-server history --js":                       "--json",
				"carecycle-server completion z":                       "zsh",
				"carecycle-server import --organization no":           "",
			} {
				prepare, command := ask(line)
				got := strings.Join(completions(t, shell, prepare, command), " ")
				if sorted := strings.Fields(got); len(sorted) == 2 && sorted[0] > sorted[1] {
					got = sorted[1] + " " + sorted[0]
				}
				if strings.TrimSpace(got) != want {
					t.Errorf("%q: got %q, want %q", line, got, want)
				}
			}
		})
	}
}

// TestManual checks that the manual page has all flags, and that mandoc finds nothing wrong with it.
func TestManual(t *testing.T) {
	t.Parallel()
	page, stderr, code := run("", "man")
	if code != 0 {
		t.Fatal(stderr)
	}
	settings, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)`").FindAllSubmatch(settings, -1) {
		if flag := strings.ReplaceAll(string(row[1]), "-", `\-`); !strings.Contains(page, ".B "+flag) {
			t.Errorf("the page lacks %s", flag)
		}
	}
	needs(t, "mandoc", "mandoc")
	lint := exec.Command("mandoc", "-T", "lint", "-W", "warning")
	lint.Stdin = strings.NewReader(page)
	out, _ := lint.CombinedOutput() // a finding is an exit code, too
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "missing date") { // the commit's, which a test is built without
			t.Errorf("mandoc: %s", line)
		}
	}
}
