package provider

import "time"

// Stats describes a store at one moment, for its metrics.
type Stats struct {
	Queued         int // writes that wait for a transaction
	Connections    int // in use or waited for; SQLite's are those for reading
	MaxConnections int
	SchemaVersion  int64
	Checkpoints    int64     // of SQLite's log, since the store was opened
	Bytes          int64     // of SQLite's file; 0 if the database is on another machine
	LogBytes       int64     // of its log
	LastBackup     time.Time // of SQLite's file; zero if there is none
}
