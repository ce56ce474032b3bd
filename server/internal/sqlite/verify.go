package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Verify reads all of the database at path, which can be in use, and reports what is wrong with it: SQLite's own structures, foreign keys,
// and the records, each with its history. It changes nothing, and does not migrate.
//
// Each of SQLite's checks sees the state of one moment, and so does each piece of the records. In memory are the records of a piece, one
// event, and one bit for each event.
//
// Errors tell the operator what to do. A file that is too damaged to be read is a problem, and no error.
func Verify(ctx context.Context, path string, report func(provider.Problem)) (verified provider.Verified, _ error) {
	path, err := resolve(path)
	if err == nil {
		err = create(path, true)
	}
	if err != nil {
		return verified, fmt.Errorf("open database: %w", err)
	}
	c, err := openToVerify(path)
	if err != nil {
		return verified, fmt.Errorf("open database %s: %w", path, explain(err))
	}
	defer c.Close()
	c.SetInterrupt(ctx.Done())
	v := &verification{conn: c, report: report}
	err = v.run()
	switch {
	case ctx.Err() != nil:
		err = errors.New("it was stopped before it had read everything")
	case sqlite.ErrCode(err).ToPrimary() == sqlite.ResultCorrupt:
		v.problem("SQLite cannot read all of the file (%v), so not everything was verified", sqlite.ErrCode(err))
		err = nil
	case err != nil:
		err = fmt.Errorf("read database %s: %w", path, explain(err))
	}
	return v.verified, err
}

// openToVerify opens a database. One that has no log can be where nothing can be written, such as a backup.
func openToVerify(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(busyTimeout)
	_, err = schemaVersion(c)
	if code := sqlite.ErrCode(err).ToPrimary(); code != sqlite.ResultCantOpen && code != sqlite.ResultReadOnly {
		return c, nil
	}
	if _, statErr := os.Stat(path + "-wal"); !errors.Is(statErr, fs.ErrNotExist) {
		return c, nil
	}
	c.Close()
	return openImmutable(path)
}

// Verify is the function of that name for the store's file.
func (s *Store) Verify(ctx context.Context, report func(provider.Problem)) (provider.Verified, error) {
	return Verify(ctx, s.path, report)
}

type verification struct {
	conn     *sqlite.Conn
	numbers  propertyNumbers
	report   func(provider.Problem)
	verified provider.Verified
	events   rowSet // those that belong to a record
}

func (v *verification) problem(format string, arguments ...any) {
	v.report(provider.Problem{Text: fmt.Sprintf(format, arguments...)})
}

func (v *verification) run() error {
	if err := v.open(); err != nil {
		return err
	}
	if err := v.checkStructure(); err != nil {
		return err
	}
	if err := v.checkForeignKeys(); err != nil {
		return err
	}
	last, err := number(v.conn, selectLast) // later ones may come after their record was read
	if err != nil {
		return err
	}
	if err := v.numbers.read(v.conn); err != nil {
		return err
	}
	if err := v.checkRecords(); err != nil {
		return err
	}
	return v.checkEvents(last)
}

func (v *verification) open() error {
	if err := checkCurrent(v.conn); err != nil {
		return err
	}
	return pragmas(v.conn, "query_only = ON", "temp_store = MEMORY")
}

// checkCurrent fails unless the file is a database of this program, and has all migrations.
func checkCurrent(c *sqlite.Conn) error {
	if err := checkBackup(c); err != nil {
		return err
	}
	version, err := schemaVersion(c)
	if err == nil && version < newestVersion {
		err = fmt.Errorf("its schema has version %d, and this program needs %d; run migrate first", version, newestVersion)
	}
	return err
}

// checkStructure reports what SQLite finds in its pages, tables and indexes. It names rows by their number.
func (v *verification) checkStructure() error {
	return sqlitex.ExecuteTransient(v.conn, "PRAGMA integrity_check", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		for line := range strings.Lines(s.ColumnText(0)) {
			if line = strings.TrimSpace(line); line != "ok" && !strings.HasPrefix(line, "***") {
				v.problem("SQLite: %s", line)
			}
		}
		return nil
	}})
}

func (v *verification) checkForeignKeys() error {
	return sqlitex.ExecuteTransient(v.conn, "PRAGMA foreign_key_check", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		table, row, parent := s.ColumnText(0), s.ColumnInt64(1), s.ColumnText(2)
		if table != "providers" {
			v.problem("a row of %s refers to a row of %s that does not exist", table, parent)
			return nil
		}
		return sqlitex.Execute(v.conn, "SELECT organization_id, id FROM providers WHERE row = ?1", &sqlitex.ExecOptions{Args: []any{row}, ResultFunc: func(s *sqlite.Stmt) error {
			p := provider.Problem{Organization: s.ColumnInt64(0), Text: "its customer does not exist"}
			s.ColumnBytes(1, p.ProviderID[:])
			v.report(p)
			return nil
		}})
	}})
}

// verifyPiece is how many records are read in a transaction.
const verifyPiece = 200

var selectRecords = "SELECT " + columns + ", row, last_event, organization_id FROM providers WHERE (organization_id, id) > (?1, ?2) ORDER BY organization_id, id LIMIT ?3"

// position is a place in the order of the key of records.
type position struct {
	organization int64
	id           []byte
}

func (v *verification) checkRecords() error {
	after := position{id: []byte{}}
	for {
		read := 0
		err := inSnapshot(v.conn, func() (err error) {
			read, err = v.checkPiece(&after)
			return err
		})
		if err != nil || read < verifyPiece {
			return err
		}
	}
}

// checkPiece checks the records after one, and sets that to the last of them.
func (v *verification) checkPiece(after *position) (read int, _ error) {
	err := sqlitex.Execute(v.conn, selectRecords, &sqlitex.ExecOptions{Args: []any{after.organization, after.id, verifyPiece}, ResultFunc: func(s *sqlite.Stmt) error {
		read++
		var record row
		from := scanner{statement: s}
		from.provider(&record.Provider)
		record.rowID, record.lastEvent = from.int64(), from.int64()
		after.organization = from.int64()
		after.id = make([]byte, s.ColumnLen(0))
		s.ColumnBytes(0, after.id)
		if len(after.id) != len(record.ID) {
			v.problem("row %d of providers has an ID that is no UUID", record.rowID)
			return nil
		}
		return v.checkRecord(after.organization, &record)
	}})
	return read, err
}

const selectEvent = "SELECT version, at, action, key_id, request_id, changes, previous, record FROM provider_events WHERE row = ?1"

// checkRecord follows the events of a record from its latest one.
func (v *verification) checkRecord(organization int64, record *row) error {
	v.verified.Records++
	problem := func(format string, arguments ...any) {
		v.report(provider.Problem{Organization: organization, ProviderID: record.ID, Text: fmt.Sprintf(format, arguments...)})
	}
	check := provider.NewHistoryCheck(organization, &record.Provider, v.report)
	for next, version := record.lastEvent, int64(0); ; {
		found, goOn := false, false
		err := sqlitex.Execute(v.conn, selectEvent, &sqlitex.ExecOptions{Args: []any{next}, ResultFunc: func(s *sqlite.Stmt) error {
			found = true
			if !v.events.add(next) {
				problem("the event in row %d is in two histories", next)
				return nil
			}
			v.verified.Versions++
			event, readErr := scanEvent(v.conn, s, record.ID, &v.numbers)
			version = event.Version
			goOn = check.Add(&event, readErr)
			const previous, named = 6, 7
			if s.ColumnInt64(named) != record.rowID {
				problem("version %d does not name the record", version)
			}
			switch first := s.ColumnIsNull(previous); {
			case first && version > 1:
				problem("the versions before %d are missing in the history, and were not archived", version)
				goOn = false
			case first:
				goOn = false
			case version <= 1:
				problem("version %d names one before it", version)
				goOn = false
			}
			next = s.ColumnInt64(previous)
			return nil
		}})
		if err != nil {
			return err
		}
		if !found || !goOn {
			check.End()
			return nil
		}
	}
}

const selectRows = "SELECT row, version FROM provider_events WHERE row > ?1 AND row <= ?2 ORDER BY row LIMIT ?3"

// checkEvents reports the events up to a row that belong to no record. Those that are archived in the meantime are gone.
func (v *verification) checkEvents(last int64) error {
	const piece = 10_000
	for after := int64(0); ; {
		read := 0
		err := sqlitex.Execute(v.conn, selectRows, &sqlitex.ExecOptions{Args: []any{after, last, piece}, ResultFunc: func(s *sqlite.Stmt) error {
			read++
			after = s.ColumnInt64(0)
			if !v.events.has(after) {
				v.problem("the event in row %d, of a version %d, is in no history", after, s.ColumnInt64(1))
			}
			return nil
		}})
		if err != nil || read < piece {
			return err
		}
	}
}

// rowSet is a set of rows, which takes one bit for each row if they are numbered one after the other.
type rowSet struct{ parts map[int64]*[512]uint64 }

// add adds a row, and reports whether it was not there.
func (r *rowSet) add(row int64) bool {
	part, word, bit := place(row)
	if r.parts == nil {
		r.parts = map[int64]*[512]uint64{}
	}
	if r.parts[part] == nil {
		r.parts[part] = new([512]uint64)
	}
	added := r.parts[part][word]&bit == 0
	r.parts[part][word] |= bit
	return added
}

func (r *rowSet) has(row int64) bool {
	part, word, bit := place(row)
	return r.parts[part] != nil && r.parts[part][word]&bit != 0
}

// place returns the part, the word in it, and the bit of a row, which may be negative.
func place(row int64) (part int64, word int, bit uint64) {
	return row >> 15, int(row>>6) & 511, 1 << (row & 63)
}
