package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// printSecret calls issue, which creates a key, with a function that prints it. It creates none if standard output has no reader.
func printSecret(std streams, issue func(apikey.Deliver) error) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves is an error: the key is nobody's
	defer signal.Reset(syscall.SIGPIPE)
	if err := checkOutput(std.out); err != nil {
		return fmt.Errorf("nothing was done, as the key would be lost: %w", err)
	}
	return issue(func(secret string, key apikey.Key) error {
		fmt.Fprintf(std.err, "created %s for %q: %q, %s, %s, expires %s\nkeep the key, it cannot be shown again:\n",
			key.ID, key.OrganizationName, key.Name, joinPermissions(key.Permissions), formatLimit(key.RateLimit), formatTime(key.ExpiresAt))
		if _, err := fmt.Fprintln(std.out, secret); err != nil {
			return err
		}
		return checkOutput(std.out)
	})
}

// checkOutput fails if what is written to standard output is lost. Go opens the null device in the place of an output that is closed
// when the program starts.
func checkOutput(out io.Writer) error {
	file, ok := out.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return errors.New("standard output is closed, or " + os.DevNull)
	}
	if info.Mode().IsRegular() {
		return file.Sync() // a disk that is full, or one that is far away, may say so only now
	}
	return checkReader(file)
}
