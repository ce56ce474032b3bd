package sqlite

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	selectNumbers = "SELECT number, name FROM property_names ORDER BY number"
	insertNumber  = "INSERT INTO property_names (number, name) SELECT coalesce(max(number), 0) + 1, ?1 FROM property_names"
)

// propertyNumbers are those of the properties in the history, as they were read last. Another process that shares the file, of a newer version,
// can have added some since.
type propertyNumbers struct{ atomic.Pointer[wire.Numbers] }

// read reads them again.
func (n *propertyNumbers) read(c *sqlite.Conn) error {
	found, err := readNumbers(c)
	if err == nil {
		n.Store(found)
	}
	return err
}

// parse sets what is stored of an event. For a number that is not known it reads the numbers again: they were saved before the event.
func (n *propertyNumbers) parse(c *sqlite.Conn, stored wire.StoredEvent, event *provider.Event) error {
	err := n.Load().Parse(stored, event)
	if !errors.Is(err, wire.ErrUnknownNumber) {
		return err
	}
	if err := n.read(c); err != nil {
		return err
	}
	return n.Load().Parse(stored, event)
}

// numberProperties returns the numbers of the properties in the history, and gives one to each that has none.
func numberProperties(c *sqlite.Conn) (numbers *wire.Numbers, err error) {
	numbers, err = readNumbers(c)
	if err != nil || numbers.Missing() == nil {
		return numbers, err
	}
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if numbers, err = readNumbers(c); err != nil { // another process may have done it
		return nil, err
	}
	for _, name := range numbers.Missing() {
		if err := execute(c, insertNumber, name); err != nil {
			return nil, err
		}
	}
	return readNumbers(c)
}

func readNumbers(c *sqlite.Conn) (*wire.Numbers, error) {
	numbers := new(wire.Numbers)
	err := sqlitex.Execute(c, selectNumbers, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		return numbers.Add(s.ColumnInt64(0), s.ColumnText(1))
	}})
	if err != nil {
		return nil, fmt.Errorf("read the table property_names: %w", err)
	}
	return numbers, nil
}
