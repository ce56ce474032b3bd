package provider

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/google/uuid"
)

// KeyLifetime is how long a store keeps the idempotency key of a creation.
const KeyLifetime = 24 * time.Hour

// KeysRead is how many creations a store reads for a write with a key: those of its organization from that key on, in the order of the
// keys' digests. The first can be that of the key itself. When the store saves the write, it removes those of them that have expired.
//
// A digest is a random place among the others, so in the long run every expired creation is found. When a quarter of the table has
// expired, each write removes on average one of the four that follow its key: the table does not grow further. This needs no index on
// the time, and the rows are those next to the new one.
const KeysRead = 1 + 4

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// Idempotency identifies a creation, so that sending it again creates no second record.
type Idempotency struct {
	Key         Digest // of the key that the caller chose; the text is kept nowhere
	Fingerprint Digest // of the record that the caller wants
}

// NewIdempotency returns the Idempotency of a creation with the given key, customer and patch. Null and absent values of the patch are the
// same, as they create the same record. The fingerprint includes the key, so that a reader of the database, who does not have the key,
// cannot find a value by hashing guesses.
func NewIdempotency(key string, customer uuid.UUID, patch *property.Patch) *Idempotency {
	h := sha256.New()
	writeText(h, key)
	h.Write(customer[:])
	for id := range patch.Values {
		value := patch.Values[id]
		if text, ok := value.Text(); ok {
			writeText(h, property.Table[id].Name)
			writeText(h, text)
		} else if flag, ok := value.Boolean(); ok {
			writeText(h, property.Table[id].Name)
			writeText(h, strconv.FormatBool(flag))
		}
	}
	i := &Idempotency{Key: sha256.Sum256([]byte(key))}
	h.Sum(i.Fingerprint[:0])
	return i
}

// writeText writes a text after its length, so that no two lists of texts have the same bytes.
func writeText(h hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	h.Write(length[:])
	io.WriteString(h, text)
}

// Creation is what a store keeps of a creation with an idempotency key. An organization has one for each key.
type Creation struct {
	Idempotency
	ProviderID uuid.UUID
	At         time.Time
}

// Expired reports whether the key of a creation is free again, so that the store can remove it.
func (c *Creation) Expired(now time.Time) bool { return now.Sub(c.At) >= KeyLifetime }

// Repeats decides whether a write with an idempotency key repeats the creation that the store has under that key, nil if it has none. If it
// does, the result is that of [Repeated]. Otherwise the store applies the write and saves its NewCreation in the same transaction.
//
// Errors: CodeIdempotencyKeyReused.
func (w *Write) Repeats(saved *Creation, now time.Time) (bool, error) {
	if saved == nil || saved.Expired(now) {
		return false, nil
	}
	if saved.Fingerprint != w.Idempotency.Fingerprint {
		return false, ErrIdempotencyKeyReused
	}
	return true, nil
}

// NewCreation returns what to save with the event of a write with an idempotency key.
func (w *Write) NewCreation(event *Event) Creation {
	return Creation{*w.Idempotency, event.ProviderID, event.At}
}

// Repeated returns the result of a creation that repeats an earlier one: the record as its first event created it. first holds that event,
// or none if it was archived or purged. Then the result is the record as it is now.
//
// Errors: CodeNotFound for a record that was deleted, without that event.
func Repeated(first []Event, current *Provider) (Provider, error) {
	switch {
	case len(first) > 0:
		return first[0].created(), nil
	case current.exists():
		return *current, nil
	}
	return Provider{}, ErrNotFound
}

// created returns the record that an event created. Its changes are all values that the record had.
func (e *Event) created() Provider {
	record := Provider{ID: e.ProviderID, Version: e.Version, CreatedAt: e.At, UpdatedAt: e.At, Values: property.Nulls()}
	for _, change := range e.Changes {
		if id, known := property.ByName(change.Field); known {
			record.Values[id] = change.To
		} else if text, _ := change.To.Text(); change.Field == customerID {
			record.CustomerID, _ = uuid.Parse(text) // which wrote it
		}
	}
	return record
}
