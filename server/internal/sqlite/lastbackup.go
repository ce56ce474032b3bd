package sqlite

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
)

// lastBackupSuffix names the file next to a database that has its last backup. It is no row of the database, so that a backup waits for no
// lock, can be made of an older schema, and is not undone when the database is restored.
const lastBackupSuffix = ".last-backup"

// recordBackup replaces the record of the last backup. The file holds no secret: the server can be another user than the one who makes
// backups.
func recordBackup(path, destination string, at time.Time) error {
	destination, err := filepath.Abs(destination)
	if err != nil {
		return err
	}
	text, err := json.Marshal(provider.Backup{At: at.UTC().Truncate(time.Millisecond), File: destination})
	if err != nil {
		return err
	}
	name := path + lastBackupSuffix
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// lastBackup returns the last backup of a database, and the zero value if there is none.
func lastBackup(path string) (last provider.Backup) {
	text, err := os.ReadFile(path + lastBackupSuffix)
	if err != nil || json.Unmarshal(text, &last) != nil {
		return provider.Backup{}
	}
	return last
}
