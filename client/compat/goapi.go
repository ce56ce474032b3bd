package main

import (
	"fmt"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

// compareGo returns a line for each thing in package client of the module in the directory after that breaks programs
// written for the one in before.
func compareGo(before, after string) ([]string, error) {
	old, err := loadClient(before)
	if err != nil {
		return nil, err
	}
	new, err := loadClient(after)
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, c := range apidiff.Changes(old.Types, new.Types).Changes {
		if !c.Compatible {
			lost = append(lost, c.Message)
		}
	}
	return lost, nil
}

func loadClient(directory string) (*packages.Package, error) {
	loaded, err := packages.Load(&packages.Config{Dir: directory, Mode: packages.NeedName | packages.NeedTypes}, "./client")
	if err != nil {
		return nil, fmt.Errorf("read package client in %s: %w", directory, err)
	}
	if errors := loaded[0].Errors; len(errors) > 0 {
		return nil, fmt.Errorf("read package client in %s: %w", directory, errors[0])
	}
	return loaded[0], nil
}
