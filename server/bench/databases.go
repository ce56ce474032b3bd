//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// databases are of one kind that the server runs on.
type databases interface {
	// create returns a new database, as --database takes it; there is nothing in it.
	create(ctx context.Context) (string, error)

	// settle has what was written to a database brought to rest, so that not the disk be busy with it during a measurement.
	settle(ctx context.Context, database string) error

	// clone returns a copy of a database that nobody uses.
	clone(ctx context.Context, database string) (string, error)

	drop(ctx context.Context, database string) error
}

// files are SQLite databases in one directory.
type files struct {
	directory string
	made      int
}

func (f *files) create(context.Context) (string, error) {
	f.made++
	return filepath.Join(f.directory, fmt.Sprintf("%d.db", f.made)), nil // the server makes it
}

func (f *files) settle(context.Context, string) error {
	syscall.Sync()
	return nil
}

func (f *files) clone(ctx context.Context, database string) (path string, err error) {
	if _, err := os.Stat(database + "-wal"); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is not a whole database: it has a log next to it", database)
	}
	from, err := os.Open(database)
	if err != nil {
		return "", err
	}
	defer from.Close()
	path, err = f.create(ctx)
	if err != nil {
		return "", err
	}
	to, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return path, errors.Join(err, to.Close(), f.settle(ctx, path))
}

func (f *files) drop(_ context.Context, database string) error {
	for _, companion := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(database + companion); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// onDisk rejects a directory in memory, where nothing is durable.
func onDisk(directory string) error {
	const tmpfs = 0x01021994
	var about syscall.Statfs_t
	if err := syscall.Statfs(directory, &about); err != nil {
		return fmt.Errorf("look at %s: %w", directory, err)
	}
	if about.Type == tmpfs {
		return fmt.Errorf("%s is in memory, not on a disk", directory)
	}
	return nil
}
