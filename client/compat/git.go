package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// git runs git in a directory and returns what it prints, without the last newline.
func git(directory string, args ...string) (string, error) {
	output, err := exec.Command("git", append([]string{"-C", directory}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		message, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("git %s: %s", args[0], message)
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(output), "\n"), nil
}

// lastTag returns the newest release that HEAD descends from, or "" if there is none. A pre-release is not one.
func lastTag(directory string) string {
	tag, err := git(directory, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "--exclude", "*-*")
	if err != nil {
		return "" // the exit code is the same for every error
	}
	return tag
}

// checkOut writes the files of a commit into a directory that does not exist yet.
func checkOut(repository, commit, directory string) error {
	if _, err := git(repository, "clone", "-q", "--shared", "--no-checkout", ".", directory); err != nil {
		return err
	}
	_, err := git(directory, "checkout", "-q", "--detach", commit)
	return err
}
