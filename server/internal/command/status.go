package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/postgres"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/sqlite"
)

type statusCommand struct {
	JSON bool `help:"Write a JSON object."`
}

// Help implements [kong.HelpProvider].
func (statusCommand) Help() string { return exampleHelp("status --json") }

// auditEntry implements [auditedCommand].
func (statusCommand) auditEntry() audit.Entry { return audit.Entry{} }

const (
	expiryNotice  = 14 * 24 * time.Hour // before the end of a key
	backupOverdue = 26 * time.Hour      // for a backup a day; docs/monitoring/alerts.yaml has the same
	maxListedKeys = 100                 // of those that end soon, and of those that have ended
)

// status is what the command writes.
type status struct {
	Program              string           `json:"program"`
	Store                string           `json:"store"`
	Database             string           `json:"database"`
	SchemaVersion        int64            `json:"schemaVersion"`
	NewestSchemaVersion  int64            `json:"newestSchemaVersion"`
	Bytes                int64            `json:"bytes"`
	LogBytes             *int64           `json:"logBytes"`             // null for PostgreSQL
	EstimatedRecords     *int64           `json:"estimatedRecords"`     // null, like what follows it, until the schema is migrated
	EstimatedEvents      *int64           `json:"estimatedEvents"`      // of all histories
	OldestEventAt        *time.Time       `json:"oldestEventAt"`        // null, too, if there is none
	LastBackup           *provider.Backup `json:"lastBackup"`           // null if there is none, and for PostgreSQL
	LastBackupAgeSeconds *int64           `json:"lastBackupAgeSeconds"` // null likewise
	ActiveKeys           int              `json:"activeKeys"`
	EndingKeys           keyList          `json:"endingKeys"` // that end within expiryNotice
	EndedKeys            keyList          `json:"endedKeys"`
	Due                  []string         `json:"due"` // what the operator has to do
}

// keyList has the number of keys, and the first of them.
type keyList struct {
	Count int         `json:"count"`
	Keys  []statusKey `json:"keys"`
}

type statusKey struct {
	ID           string    `json:"id"`
	Organization string    `json:"organization"`
	Name         string    `json:"name"`
	EndsAt       time.Time `json:"endsAt"`
}

// Run writes the status of the database. It changes nothing, and does not migrate.
func (s statusCommand) Run(ctx context.Context, c *commands, std streams) error {
	now := time.Now()
	found := status{Program: programVersion(), Store: "sqlite", Database: c.Database.name(), EndingKeys: keyList{Keys: []statusKey{}}, EndedKeys: keyList{Keys: []statusKey{}}, Due: []string{}}
	var read provider.Status
	var err error
	if c.Database.isPostgres() {
		found.Store = "postgresql"
		read, err = postgres.ReadStatus(ctx, string(c.Database), c.latestURL(), found.addKey)
	} else {
		read, err = sqlite.ReadStatus(ctx, string(c.Database), found.addKey)
	}
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	found.add(&read, now)
	write := found.writeText
	if s.JSON {
		write = func(w io.Writer) error { return json.NewEncoder(w).Encode(found) }
	}
	if err := write(std.out); err != nil {
		return err
	}
	if len(found.Due) > 0 {
		return &exitError{errors.New("status: something is due; see the output"), Due}
	}
	return nil
}

func (s *status) add(read *provider.Status, now time.Time) {
	s.SchemaVersion, s.NewestSchemaVersion, s.Bytes = read.SchemaVersion, read.NewestVersion, read.Bytes
	switch {
	case read.Current():
		s.EstimatedRecords, s.EstimatedEvents = &read.Records, &read.Events
		if !read.OldestEvent.IsZero() {
			s.OldestEventAt = &read.OldestEvent
		}
	case read.SchemaVersion < read.NewestVersion:
		s.due("the schema has version %d, and this program needs %d: it migrates at its next start, or by migrate", read.SchemaVersion, read.NewestVersion)
	default:
		s.due("the schema has version %d, and this program knows up to %d: install the newer program", read.SchemaVersion, read.NewestVersion)
	}
	if read.Unfinished {
		s.due("new events have the form of the version before: once no server of an older version runs, run migrate --finish")
	}
	if s.Store == "sqlite" {
		s.LogBytes = &read.LogBytes
		s.addBackup(read.LastBackup, now)
	}
	if n := s.EndingKeys.Count; n > 0 {
		s.due("%s within 14 days: issue new ones, or see keys rotate", ends(n))
	}
}

func (s *status) due(format string, arguments ...any) {
	s.Due = append(s.Due, fmt.Sprintf(format, arguments...))
}

func ends(keys int) string {
	if keys == 1 {
		return "1 key ends"
	}
	return count(keys, "key") + " end"
}

func (s *status) addBackup(last provider.Backup, now time.Time) {
	if last.At.IsZero() {
		s.due("there is no backup: make one with backup")
		return
	}
	age := now.Sub(last.At)
	s.LastBackup, s.LastBackupAgeSeconds = &last, new(int64(age.Seconds()))
	if age > backupOverdue {
		s.due("the last backup is older than %.0f hours: make one with backup", backupOverdue.Hours())
	}
}

// addKey counts a key.
func (s *status) addKey(key apikey.Key) {
	end := key.ExpiresAt
	if !key.RevokedAt.IsZero() && (end.IsZero() || key.RevokedAt.Before(end)) {
		end = key.RevokedAt
	}
	one := statusKey{key.ID, key.OrganizationName, key.Name, end}
	if !key.Active(key.ReadAt) {
		s.EndedKeys.add(one)
		return
	}
	s.ActiveKeys++
	if !end.IsZero() && end.Sub(key.ReadAt) <= expiryNotice {
		s.EndingKeys.add(one)
	}
}

func (l *keyList) add(key statusKey) {
	if l.Count++; l.Count <= maxListedKeys {
		l.Keys = append(l.Keys, key)
	}
}

// writeText writes the status for a person.
func (s *status) writeText(w io.Writer) error {
	out := bufio.NewWriter(w)
	line := func(name, format string, arguments ...any) {
		fmt.Fprintf(out, "%-9s "+format+"\n", append([]any{name}, arguments...)...)
	}
	line("program", "%s", s.Program)
	line("database", "%s (%s)", s.Database, s.Store)
	line("schema", "version %d of %d", s.SchemaVersion, s.NewestSchemaVersion)
	line("size", "%s", count(int(s.Bytes), "byte"))
	if s.LogBytes != nil {
		line("log", "%s", count(int(*s.LogBytes), "byte"))
	}
	if s.EstimatedRecords != nil {
		line("records", "about %d, deleted ones included", *s.EstimatedRecords)
		line("history", "about %s, the oldest of %s", count(int(*s.EstimatedEvents), "event"), timeOrNever(s.OldestEventAt))
		line("keys", "%d active, %d of which end within 14 days; %d ended", s.ActiveKeys, s.EndingKeys.Count, s.EndedKeys.Count)
	}
	switch {
	case s.LastBackup != nil:
		line("backup", "%s, %v ago, %s", s.LastBackup.At.Format(time.DateTime), (time.Duration(*s.LastBackupAgeSeconds) * time.Second), s.LastBackup.File)
	case s.Store == "sqlite":
		line("backup", "never")
	default:
		line("backup", "not known: PostgreSQL's are made by pg_dump, or by an archive of its log")
	}
	for _, list := range []struct {
		name string
		keyList
	}{{"ends", s.EndingKeys}, {"ended", s.EndedKeys}} {
		for _, key := range list.Keys {
			line(list.name, "%s\t%q\t%q\t%s", key.ID, key.Organization, key.Name, formatTime(key.EndsAt))
		}
		if more := list.Count - len(list.Keys); more > 0 {
			line(list.name, "and %d more; see keys list", more)
		}
	}
	for _, due := range s.Due {
		line("due", "%s", due)
	}
	return out.Flush()
}

func timeOrNever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return formatTime(*t)
}
