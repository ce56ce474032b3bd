package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help implements [kong.HelpProvider].
func (completionCommand) Help() string { return exampleHelp("completion bash") }

// Run prints a script that has completeCommand find the words.
func (s completionCommand) Run(io streams) error {
	_, err := fmt.Fprint(io.out, completionScripts[s.Shell])
	return err
}

var completionScripts = map[string]string{
	"bash": `_carecycle_server() {
	local line=${COMP_LINE:0:COMP_POINT} words
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	mapfile -t COMPREPLY < <("$1" complete -- "${words[@]:1}" 2>/dev/null | cut -f1)
	# Bash takes what follows a colon or an equals sign for a word of its own.
	[[ ${words[-1]} == *[:=]* ]] && COMPREPLY=("${COMPREPLY[@]#"${words[-1]%[:=]*}"?}")
}
complete -o bashdefault -o default -F _carecycle_server carecycle-server
`,
	"zsh": `#compdef carecycle-server
_carecycle_server() {
	local -a lines names
	lines=("${(@f)$("$words[1]" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	names=("${(@)lines%%$'\t'*}")
	if compset -P '*='; then names=("${(@)names#*=}"); fi
	if [[ -n $names ]]; then compadd -l -d lines -a names; else _files; fi
}
if [[ $funcstack[1] == _carecycle_server ]]; then _carecycle_server "$@"; else compdef _carecycle_server carecycle-server; fi
`,
	"fish": `function __carecycle_server
	set -l words (commandline -opc) (commandline -ct)
	set -l lines ($words[1] complete -- $words[2..] 2>/dev/null)
	if test -n "$lines"
		printf '%s\n' $lines
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c carecycle-server -f -a '(__carecycle_server)'
`,
}

// completeCommand prints the words that can take the place of the last one, a line each, with a tab and the help. It prints
// none where a file or a value of the user's is expected.
type completeCommand struct {
	Words []string `arg:"" optional:""`
}

// Run is called by the scripts of completionCommand.
func (s completeCommand) Run(parser *kong.Kong, io streams) error {
	for _, word := range candidates(parser.Model.Node, append(s.Words, "")[:max(1, len(s.Words))]) {
		if _, err := fmt.Fprintf(io.out, "%s\t%s\n", word.text, word.help); err != nil {
			return err
		}
	}
	return nil
}

type candidate struct{ text, help string }

func candidates(node *kong.Node, words []string) (found []candidate) {
	last := words[len(words)-1]
	var valued *kong.Flag // the flag whose value is the next word
	for _, word := range words[:len(words)-1] {
		flag := findFlag(node, word)
		switch {
		case valued != nil:
			valued = nil
		case flag != nil && !flag.IsBool():
			valued = flag
		default:
			if i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word }); i >= 0 {
				node = node.Children[i]
			}
		}
	}
	add := func(text, help string) {
		if strings.HasPrefix(text, last) {
			found = append(found, candidate{text, help})
		}
	}
	name, _, hasValue := strings.Cut(last, "=")
	switch flag := findFlag(node, name); {
	case valued != nil:
		addEnum(add, "", valued.Value)
	case hasValue && flag != nil:
		addEnum(add, name+"=", flag.Value)
	case strings.HasPrefix(last, "-"):
		for _, flag := range visibleFlags(node) {
			add("--"+flag.Name, flag.Help)
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
		for _, argument := range node.Positional {
			addEnum(add, "", argument)
		}
	}
	return found
}

func addEnum(add func(text, help string), prefix string, value *kong.Value) {
	if value.Enum != "" {
		for _, text := range value.EnumSlice() {
			add(prefix+text, "")
		}
	}
}

func findFlag(node *kong.Node, word string) *kong.Flag {
	for _, flag := range visibleFlags(node) {
		if word == "--"+flag.Name {
			return flag
		}
	}
	return nil
}

// visibleFlags returns the flags of a command, with those of its default command and of all commands.
func visibleFlags(node *kong.Node) []*kong.Flag {
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	return slices.Concat(node.AllFlags(true)...)
}
