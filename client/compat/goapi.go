package main

import (
	"fmt"
	"regexp"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

// compareGo returns what a program loses that was written for the package client below the directory before, when it is
// compiled with the one below after; one line each.
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
		if !c.Compatible && !newMethod.MatchString(c.Message) {
			lost = append(lost, c.Message)
		}
	}
	return lost, nil
}

// The generator's ClientInterface has a method for each operation; README says that it grows.
var newMethod = regexp.MustCompile(`^ClientInterface\.\w+: added$`)

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
