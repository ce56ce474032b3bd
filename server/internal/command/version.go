package command

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Help implements [kong.HelpProvider].
func (versionCommand) Help() string { return exampleHelp("version") }

func (versionCommand) Run(io streams) error {
	_, err := fmt.Fprintln(io.out, versionLine())
	return err
}

func versionLine() string { return program + " " + programVersion() }

// programVersion returns the program's version, its commit and the commit's time, where they are known, Go's version, and the
// platform. The version is the commit's tag, or a pseudo-version; changes that are not committed add "+dirty".
func programVersion() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		settings := map[string]string{}
		for _, setting := range info.Settings {
			settings[setting.Key] = setting.Value
		}
		if revision := settings["vcs.revision"]; revision != "" {
			commit = fmt.Sprintf(" (commit %s, %s)", revision, settings["vcs.time"])
		}
	}
	return fmt.Sprintf("%s%s %s %s/%s", moduleVersion(), commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// moduleVersion returns the program's version alone.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
