package command

import (
	"regexp"
	"runtime/debug"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

type manCommand struct{}

// Help implements [kong.HelpProvider].
func (manCommand) Help() string { return exampleHelp("man") }

// Run prints the manual page, in the language of man(7).
func (manCommand) Run(parser *kong.Kong, io streams) error {
	date := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.time" {
				date = setting.Value[:len("2006-01-02")]
			}
		}
	}
	return manual.Execute(io.out, map[string]any{"Date": date, "Program": parser.Model, "Leaves": parser.Model.Leaves(true)})
}

// lineStart matches what man(7) would take for a request.
var lineStart = regexp.MustCompile(`(?m)^[.']`)

func escapeRoff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	return lineStart.ReplaceAllString(text, `\&$0`)
}

func exampleOf(detail string) string { return strings.TrimPrefix(detail, "Example:\n\n    ") }

var manual = template.Must(template.New("").Funcs(template.FuncMap{"text": escapeRoff, "example": exampleOf}).Parse(
	`{{define "flags"}}{{range .}}{{if not .Hidden}}.TP
.B {{text .ShortSummary}}
{{text .Help}}
{{- range .Envs}}
Environment variable:
.BR {{text .}} .
{{- end}}
{{end}}{{end}}{{end -}}
.TH CARECYCLE\-SERVER 1 "{{.Date}}" "" "careCycle"
.SH NAME
carecycle\-server \- serve the careCycle customer provider API
.SH SYNOPSIS
.B carecycle\-server
.I command
.RI [ flags ]
.SH DESCRIPTION
{{text .Program.Help}}
.SH OPTIONS
{{template "flags" .Program.Flags}}.SH COMMANDS
{{range .Leaves}}.SS "{{text .Path}}"
{{text .Help}}
{{template "flags" .Flags}}.PP
Example:
.PP
.nf
{{text (example .Detail)}}
.fi
{{end}}.SH EXIT STATUS
0 if the work is done, 1 if it failed, 2 for wrong usage, 3 if
.B verify
has found a problem, 4 if
.B migrate \-\-status
has found a migration to apply.
`))
