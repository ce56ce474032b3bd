package apikey

// Bounds and sizes for the tests.
const (
	MaxCached   = maxCached
	MaxFailures = maxFailures
)

// Senders returns how many buckets the limiter keeps for senders of wrong keys.
func (l *Limiter) Senders() int { return len(l.failures.current) + len(l.failures.previous) }

// Keys returns how many buckets the limiter keeps for keys.
func (l *Limiter) Keys() int { return len(l.keys.current) + len(l.keys.previous) }

// MaxPendingUses is maxPendingUses.
const MaxPendingUses = maxPendingUses

// PendingUses returns how many uses wait to be recorded.
func (v *Verifier) PendingUses() int {
	v.uses.mu.Lock()
	defer v.uses.mu.Unlock()
	return len(v.uses.pending)
}

// Use records a use of a key.
func (v *Verifier) Use(id string) { v.uses.add(id, v.now()) }

// Leases returns how many leases the Limiter has.
func (l *Limiter) Leases() int {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	return len(l.leases.byKey)
}
