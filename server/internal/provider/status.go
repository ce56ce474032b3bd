package provider

import "time"

// Status describes a database for the operator.
type Status struct {
	SchemaVersion int64 // 0 without tables
	NewestVersion int64 // of the schema, that this program knows
	Bytes         int64 // of the database, its indexes and its free room included
	LogBytes      int64 // of SQLite's log; 0 for PostgreSQL, whose log is that of all databases of a server

	// Read only if the schema has the newest version. Nothing is counted: that would read all of a table.
	Records     int64     // an estimate, which includes deleted ones
	Events      int64     // an estimate
	OldestEvent time.Time // about; zero if there is none
	Unfinished  bool      // a rolling upgrade of PostgreSQL's servers: events have the older form until the operator says that it has ended

	LastBackup Backup // the zero value if there is none, or if backups are not this program's
}

// Current reports whether the schema has the newest version.
func (s *Status) Current() bool { return s.SchemaVersion == s.NewestVersion }

// Backup is a backup that was complete, checked and on disk.
type Backup struct {
	At   time.Time `json:"at"`   // the moment whose state it has
	File string    `json:"file"` // its absolute path
}
