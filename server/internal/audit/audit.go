// Package audit keeps an audit trail: who touched which record, when, and with what outcome, as lines of JSON in a file. A line holds
// IDs and names of organizations, and never a value of a record or the secret of a key.
//
// # Why a file
//
// Reads are recorded, too. In a table each GET would be a write to the store: with SQLite a transaction of its only writer. And what an
// operator does to the database, such as restoring it, does not change a file elsewhere, which the tools of the machine rotate, ship and
// protect.
//
// # When a line is written
//
// The line of a request is written before its response is sent, so that nobody has seen a record or the success of a change that the
// trail does not have. It says what happened, so it follows the store's commit. A line before it, as an intent, would cost each change a
// second line and a second sync, and after a crash would leave open what the history in the database says for certain: it has the key,
// the time and the request ID of each change, saved in the change's transaction.
//
// The line of a change is synced before the response; concurrent changes share a sync, as they share a commit. The line of a read is
// in the file by then, where it survives the end of the process, and is synced within a second. Only a machine that loses its power can
// lose such lines, those of a second, and no state of the database then contradicts the trail. Syncing them as well would make each GET
// as slow as a change.
//
// An operator's command has two lines: one before it does anything, which is synced, as an export can be stopped in the middle of its
// output; and one with its outcome.
//
// # When a line cannot be written
//
// From the first failure on, [Trail.Err] is the reason, and callers refuse requests before they do anything: nothing is read or
// changed. A change that was in flight at that moment may be committed, and its caller must not learn that nothing was changed: the
// response says that the outcome is unknown, and [Trail.Owe] keeps the line in memory until it can be written. Once a second the trail
// tries to write the lines that it owes, and then one about the gap. When that is on disk, requests are served again.
//
// With [Options.Continue] requests do not fail; their lines are counted as lost, and the line about the gap has the number.
package audit

import (
	"time"

	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Entry is one line of the trail. What does not apply is left out.
type Entry struct {
	Time string `json:"time"` // when the line was written, in [wire.TimeFormat], which sorts as text; set by the Trail

	Operator         string      `json:"operator,omitzero"` // the user of the operating system who ran a command
	Key              string      `json:"key,omitzero"`      // the ID of the key or the user; with an Operator, of the one that the command was about
	NewKey           string      `json:"newKey,omitzero"`   // the ID of the key that replaces the other; in the dashboard, of the key or the user that a person has created or changed
	Organization     int64       `json:"organization,omitzero"`
	OrganizationName string      `json:"organizationName,omitzero"`
	NewName          string      `json:"newName,omitzero"`   // that the organization gets; OrganizationName is the one before
	Operation        string      `json:"operation,omitzero"` // the contract's operationId, or the words of a command
	Customer         *uuid.UUID  `json:"customer,omitzero"`  // in the request's path
	Records          []uuid.UUID `json:"records,omitempty"`  // that were returned or changed, or that a refused request named
	Everything       bool        `json:"everything,omitzero"`
	Count            int         `json:"count,omitzero"` // records returned or changed; of an archive, events
	File             string      `json:"file,omitzero"`  // that a command reads or writes
	Reason           string      `json:"reason,omitzero"`
	Request          string      `json:"request,omitzero"` // the request ID; that of a command is the same in its two lines

	Status   int    `json:"status,omitzero"`   // of the response
	Code     string `json:"code,omitzero"`     // of an error, from the contract
	Outcome  string `json:"outcome,omitzero"`  // of a command: started, done or failed
	Client   string `json:"client,omitzero"`   // the caller's address
	Requests int    `json:"requests,omitzero"` // how many requests the line stands for, if not one

	Since string `json:"since,omitzero"` // of a gap: when it began
	Lost  int64  `json:"lost,omitzero"`  // of a gap: how many lines are missing
}

// The outcomes of a command.
const (
	Started = "started"
	Done    = "done"
	Failed  = "failed"
)

// resumed is the operation of the line that follows a gap.
const resumed = "auditResumed"

// line sets Time to the current time, and returns the entry as a line.
func (e *Entry) line() ([]byte, error) {
	e.Time = time.Now().UTC().Format(wire.TimeFormat)
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}
