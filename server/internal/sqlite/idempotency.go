package sqlite

import (
	"strconv"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"zombiezen.com/go/sqlite"
)

// Without the plus, SQLite would plan the statement again at each call, for the value of ?1.
var selectCreations = `SELECT key, fingerprint, provider_id, at FROM idempotency_keys
	WHERE organization_id = +?1 AND key >= ?2 ORDER BY key LIMIT ` + strconv.Itoa(provider.KeysRead)

const (
	insertCreation = "INSERT INTO idempotency_keys (organization_id, key, fingerprint, provider_id, at) VALUES (?1, ?2, ?3, ?4, ?5)"
	deleteCreation = "DELETE FROM idempotency_keys WHERE organization_id = ?1 AND key = ?2"
)

// runOnce is runWrite for a creation with an idempotency key.
func (s *Store) runOnce(c *sqlite.Conn, w *provider.Write, now time.Time) (provider.Provider, error) {
	near, err := loadCreations(c, w)
	if err != nil {
		return provider.Provider{}, err
	}
	var saved *provider.Creation
	if len(near) > 0 && near[0].Key == w.Idempotency.Key {
		saved = &near[0]
	}
	repeats, err := w.Repeats(saved, now)
	if err != nil {
		return provider.Provider{}, err
	}
	if repeats {
		return s.loadRepeated(c, w.Organization, saved)
	}
	next, event, err := s.apply(c, w, now)
	if err != nil {
		return next, err
	}
	for i := range near {
		if near[i].Expired(now) {
			if err := execute(c, deleteCreation, w.Organization, near[i].Key[:]); err != nil {
				return next, err
			}
		}
	}
	return next, saveCreation(c, w.Organization, w.NewCreation(event))
}

// loadCreations returns the creations that the organization of a write has from its key on.
func loadCreations(c *sqlite.Conn, w *provider.Write) (near []provider.Creation, _ error) {
	statement, err := c.Prepare(selectCreations)
	if err != nil {
		return nil, err
	}
	defer statement.Reset()
	b := binder{statement: statement}
	b.int64(w.Organization)
	b.bytes(w.Idempotency.Key[:])
	for near = make([]provider.Creation, 0, provider.KeysRead); ; {
		found, err := statement.Step()
		if err != nil || !found {
			return near, err
		}
		var one provider.Creation
		statement.ColumnBytes(0, one.Key[:])
		statement.ColumnBytes(1, one.Fingerprint[:])
		from := scanner{statement: statement, read: 2}
		one.ProviderID, one.At = from.uuid(), from.time()
		near = append(near, one)
	}
}

// loadRepeated returns the result of a write that repeats a creation.
func (s *Store) loadRepeated(c *sqlite.Conn, organization int64, saved *provider.Creation) (provider.Provider, error) {
	record, err := load(c, organization, saved.ProviderID)
	if err != nil {
		return provider.Provider{}, err
	}
	if record == nil {
		return provider.Repeated(nil, nil)
	}
	events, err := s.readEvents(c, record, 2, 1) // the first, if it is still there
	if err != nil {
		return provider.Provider{}, err
	}
	return provider.Repeated(events, &record.Provider)
}

func saveCreation(c *sqlite.Conn, organization int64, creation provider.Creation) error {
	statement, err := c.Prepare(insertCreation)
	if err != nil {
		return err
	}
	b := binder{statement: statement}
	b.int64(organization)
	b.bytes(creation.Key[:])
	b.bytes(creation.Fingerprint[:])
	b.uuid(creation.ProviderID)
	b.int64(creation.At.UnixMilli())
	return run(statement)
}
