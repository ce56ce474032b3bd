package postgres

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// creations are those with idempotency keys of one organization that a transaction reads and saves. The zero value has none.
type creations struct {
	wanted map[provider.Digest]bool              // the keys of its writes
	known  map[provider.Digest]provider.Creation // under these keys, and those that follow
	found  map[uuid.UUID]*repeated               // the records of creations that are repeated

	created  []provider.Creation // to be saved
	replaced []provider.Creation // which have expired, by those with the same keys
}

// repeated is what the result of a repeated creation is made of.
type repeated struct {
	first   []provider.Event // the first event, none if it is gone
	current []provider.Provider
}

func (c *creations) want(key provider.Digest) {
	if c.wanted == nil {
		c.wanted, c.known, c.found = map[provider.Digest]bool{}, map[provider.Digest]provider.Creation{}, map[uuid.UUID]*repeated{}
	}
	c.wanted[key] = true
}

// under returns the creation that is known under the key of a write, nil if there is none.
func (c *creations) under(w *provider.Write) *provider.Creation {
	if one, known := c.known[w.Idempotency.Key]; known {
		return &one
	}
	return nil
}

// repeat returns the result of a write whose creation is repeated, and false if it is to be applied.
func (c *creations) repeat(w *provider.Write, now time.Time) (next provider.Provider, repeats bool, err error) {
	known := c.under(w)
	if repeats, err = w.Repeats(known, now); err != nil || !repeats {
		return next, false, err
	}
	found := c.found[known.ProviderID]
	var current *provider.Provider
	if len(found.current) > 0 {
		current = &found.current[0]
	}
	next, err = provider.Repeated(found.first, current)
	return next, true, err
}

// add adds the creation of a write that was applied, also for writes of the same transaction that repeat it.
func (c *creations) add(w *provider.Write, event *provider.Event) {
	if expired := c.under(w); expired != nil {
		c.replaced = append(c.replaced, *expired)
	}
	one := w.NewCreation(event)
	c.created = append(c.created, one)
	c.known[one.Key] = one
	c.found[one.ProviderID] = &repeated{first: []provider.Event{*event}}
}

// readRepeated reads the records whose creations are repeated. Without any, it needs no round trip.
func (t *transaction) readRepeated(ctx context.Context, c *pgx.Conn, calls []provider.Write) error {
	b := new(pgx.Batch)
	for i := range calls {
		if calls[i].Idempotency == nil {
			continue
		}
		r := t.of(calls[i].Organization)
		known := r.creations.under(&calls[i])
		if repeats, _ := calls[i].Repeats(known, t.now); !repeats || r.creations.found[known.ProviderID] != nil {
			continue
		}
		id, found := known.ProviderID, new(repeated)
		r.creations.found[id] = found
		b.Queue(selectEvents, r.organization, [16]byte(id), 2, 1).Query(into(&found.first, t.numbers.scanEventOf(id)))
		b.Queue(selectProvider, r.organization, [16]byte(id)).Query(into(&found.current, scanProvider))
	}
	if b.Len() == 0 {
		return nil
	}
	return c.SendBatch(ctx, b).Close()
}

var (
	selectCreations = `SELECT found.* FROM unnest($2::bytea[]) AS wanted (key) CROSS JOIN LATERAL (
			SELECT key, fingerprint, provider_id, at FROM idempotency_keys WHERE organization_id = $1 AND key >= wanted.key
			ORDER BY key LIMIT ` + strconv.Itoa(provider.KeysRead) + `) AS found`
	insertCreations = `INSERT INTO idempotency_keys (organization_id, key, fingerprint, provider_id, at)
		SELECT $1::bigint, unnest($2::bytea[]), unnest($3::bytea[]), unnest($4::uuid[]), unnest($5::timestamptz[])`

	// By the time of these, another transaction may have saved a newer creation under the key.
	deleteCreation     = "DELETE FROM idempotency_keys WHERE organization_id = $1 AND key = $2 AND at <= $3"
	deleteFreeCreation = `DELETE FROM idempotency_keys WHERE organization_id = $1 AND key = (
			SELECT key FROM idempotency_keys WHERE organization_id = $1 AND key = $2 AND at <= $3 FOR UPDATE SKIP LOCKED)`
)

func (r *records) queueCreations(b *pgx.Batch) {
	if len(r.creations.wanted) == 0 {
		return
	}
	keys := make([][]byte, 0, len(r.creations.wanted))
	for key := range r.creations.wanted {
		keys = append(keys, key[:])
	}
	b.Queue(selectCreations, r.organization, keys).Query(r.creations.scan)
}

// saveCreations saves what add has added, in the order of the keys, in which all transactions wait for each other here. A transaction
// that has saved one of the keys since this one read them makes it fail with a uniqueViolation.
func (r *records) saveCreations(b *pgx.Batch) {
	if len(r.creations.created) == 0 {
		return
	}
	byKey := func(a, b provider.Creation) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	slices.SortFunc(r.creations.replaced, byKey)
	for _, one := range r.creations.replaced {
		b.Queue(deleteCreation, r.organization, one.Key[:], one.At)
	}
	slices.SortFunc(r.creations.created, byKey)
	b.Queue(insertCreations, r.organization,
		column(r.creations.created, func(c provider.Creation) []byte { return c.Key[:] }),
		column(r.creations.created, func(c provider.Creation) []byte { return c.Fingerprint[:] }),
		column(r.creations.created, func(c provider.Creation) [16]byte { return c.ProviderID }),
		column(r.creations.created, func(c provider.Creation) time.Time { return c.At }))
}

// removeExpired removes the creations that have expired, if there are new ones. It waits for no other transaction, and comes last, so
// that none waits for this one and for which this one waits.
func (t *transaction) removeExpired(b *pgx.Batch) {
	for _, r := range t.organizations {
		if len(r.creations.created) == 0 {
			continue
		}
		for _, one := range r.creations.known {
			if one.Expired(t.now) {
				b.Queue(deleteFreeCreation, r.organization, one.Key[:], one.At)
			}
		}
	}
}

func (c *creations) scan(rows pgx.Rows) error {
	for rows.Next() {
		var (
			one              provider.Creation
			key, fingerprint []byte
		)
		if err := rows.Scan(&key, &fingerprint, (*[16]byte)(&one.ProviderID), &one.At); err != nil {
			return err
		}
		copy(one.Key[:], key)
		copy(one.Fingerprint[:], fingerprint)
		c.known[one.Key] = one
	}
	return nil
}

// createsOnce reports whether the transaction saves a creation with an idempotency key.
func (t *transaction) createsOnce() bool {
	return slices.ContainsFunc(t.organizations, func(r *records) bool { return len(r.creations.created) > 0 })
}
