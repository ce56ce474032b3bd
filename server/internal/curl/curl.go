// Package curl writes the commands that pages and the demo show, to be pasted into a shell.
package curl

import (
	"regexp"
	"strings"
)

// Command is a request that curl sends.
type Command struct {
	Method, URL string
	Headers     []string // such as "Accept: application/json"
	Body        string   // "" for none
}

// String returns the command, an argument on each line. The script of the reference writes the same.
func (c Command) String() string {
	lines := []string{"curl --request " + quote(c.Method), "--url " + quote(c.URL)}
	for _, header := range c.Headers {
		lines = append(lines, "--header "+quote(header))
	}
	if c.Body != "" {
		lines = append(lines, "--data "+quote(c.Body))
	}
	return strings.Join(lines, " \\\n  ")
}

var plain = regexp.MustCompile(`^[\w:/.-]+$`)

// quote returns a text as one word of a POSIX shell.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
