//go:build !linux

package command

import "os"

// checkReader finds nothing: a write fails if nobody reads.
func checkReader(*os.File) error { return nil }
