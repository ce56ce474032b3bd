// Package apikey creates, verifies and limits the keys that callers send as x-api-key.
//
// It is the first thing of substance on the way of a request, before its body is read: the HTTP layer hands the
// header to a Verifier, asks the Key what it Allows, and asks a Limiter whether it may be used now; a refused key
// goes to Limiter.Failed. The operator's commands Issue, Rotate, list, revoke and remove keys in a Store. The package
// knows neither HTTP nor a database.
//
// A key's secret is seen by anyone who creates it and by anyone who sends it. It is never kept, and no error or log line of
// this package holds one; a Store gets its Hash.
package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"time"
)

// Key is what is known of a key, without its secret. Times are the store's, UTC, whole milliseconds; a zero one means never.
type Key struct {
	ID               string // as from NewID
	Organization     int64  // the one organization that the key sees
	OrganizationName string
	Suspended        bool   // the organization is, so the key is refused; it works again once the organization is resumed
	Name             string // what the operator calls it; need not be unique
	Prefix           string // the start of the secret, for people to recognise it by: cc_Ab3dE6
	Permissions      []Permission
	RateLimit        int // requests a minute, 0 for no limit
	CreatedAt        time.Time
	ExpiresAt        time.Time // from then on the key is rejected
	Revoked          bool      // the key is rejected, whatever the time
	RevokedAt        time.Time // when it was revoked; for a key that is being replaced, when it will stop working
	Successor        string    // the ID of the key that replaces it; empty if there is none
	LastUsedAt       time.Time // about: recorded at most once in UseInterval
	ReadAt           time.Time // when the store read the key
}

// Active reports whether the key has not ended at a time of the store's clock: it is neither expired nor revoked. It works, unless
// its organization is suspended.
func (k *Key) Active(now time.Time) bool {
	return !k.Revoked && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt)) && (k.RevokedAt.IsZero() || now.Before(k.RevokedAt))
}

// End returns when the key stopped working or will stop: when it is revoked or when it expires, whichever is first. A zero time
// means never.
func (k *Key) End() time.Time {
	if k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(k.RevokedAt) {
		return k.ExpiresAt
	}
	return k.RevokedAt
}

// State is whether a key works, and if not, why.
type State string

// The states. A key has the first that applies.
const (
	Revoked   State = "revoked"
	Expired   State = "expired"
	Suspended State = "suspended" // its organization is
	Rotating  State = "rotating"  // it still works, and will be revoked
	Active    State = "active"    // it works, until it expires if it does
)

// States returns every state there is.
func States() []State { return []State{Active, Rotating, Suspended, Expired, Revoked} }

// State returns the state of the key when the store read it.
func (k *Key) State() State {
	switch now := k.ReadAt; {
	case k.Revoked, !k.RevokedAt.IsZero() && !now.Before(k.RevokedAt):
		return Revoked
	case !k.Active(now):
		return Expired
	case k.Suspended:
		return Suspended
	case !k.RevokedAt.IsZero():
		return Rotating
	}
	return Active
}

// Allows reports whether the key has the permission.
func (k *Key) Allows(p Permission) bool { return slices.Contains(k.Permissions, p) }

// Permission is something that a key may be used for.
type Permission string

// The permissions.
const (
	ProvidersRead  Permission = "providers:read"
	ProvidersWrite Permission = "providers:write"
)

// Permissions returns every permission there is.
func Permissions() []Permission { return []Permission{ProvidersRead, ProvidersWrite} }

// ErrUnknownPermission says that a text is none of the Permissions.
var ErrUnknownPermission = errors.New("unknown permission: providers:read and providers:write exist")

// ParsePermission returns the permission of that name. Errors: ErrUnknownPermission.
func ParsePermission(name string) (Permission, error) {
	if p := Permission(name); slices.Contains(Permissions(), p) {
		return p, nil
	}
	return "", ErrUnknownPermission
}

// JoinPermissions returns the names of permissions, separated by spaces, as stores keep them.
func JoinPermissions(permissions []Permission) string {
	names := make([]string, len(permissions))
	for i, p := range permissions {
		names[i] = string(p)
	}
	return strings.Join(names, " ")
}

// SplitPermissions is the reverse of JoinPermissions. It keeps names that are unknown.
func SplitPermissions(names string) (permissions []Permission) {
	for name := range strings.FieldsSeq(names) {
		permissions = append(permissions, Permission(name))
	}
	return permissions
}

// A secret is secretPrefix, random characters and the checksum of both, all of them ASCII.
const (
	secretPrefix = "cc_"
	randomLen    = 30 // 178 bits
	checksumLen  = 6  // the fewest that hold 32 bits
	payloadLen   = len(secretPrefix) + randomLen
	secretLen    = payloadLen + checksumLen
	prefixLen    = len(secretPrefix) + 6
	idPrefix     = "key_"
	idRandomLen  = 12 // 71 bits
	base62       = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	unbiasedByte = 256 / len(base62) * len(base62) // below it, each digit has equally many bytes
)

// Generate returns the secret of a new key.
func Generate() string {
	payload := secretPrefix + random(randomLen)
	sum := checksum(payload)
	return payload + string(sum[:])
}

// Prefix returns the part of a secret that may be shown.
func Prefix(secret string) string { return secret[:min(prefixLen, len(secret))] }

// NewID returns the ID of a new key.
func NewID() string { return idPrefix + random(idRandomLen) }

// IsID reports whether a text has the form of an ID, and so is no secret.
func IsID(text string) bool {
	digits, found := strings.CutPrefix(text, idPrefix)
	return found && len(digits) == idRandomLen && !strings.ContainsFunc(digits, notBase62)
}

// Hash is the SHA-256 of a secret. Secrets are random, so it needs neither salt nor stretching.
type Hash [sha256.Size]byte

// HashOf returns the hash of a secret, and false if it cannot be one of Generate's: then a character is wrong, or
// more, and there is no need to look it up. Every wrong character and every swap of two neighbours is noticed.
func HashOf(secret string) (Hash, bool) {
	if len(secret) != secretLen || secret[:len(secretPrefix)] != secretPrefix || strings.ContainsFunc(secret[len(secretPrefix):], notBase62) {
		return Hash{}, false
	}
	if sum := checksum(secret[:payloadLen]); string(sum[:]) != secret[payloadLen:] {
		return Hash{}, false
	}
	var whole [secretLen]byte
	copy(whole[:], secret)
	return sha256.Sum256(whole[:]), true
}

// checksum returns the CRC-32 (IEEE) of s in base62, the highest digit first.
func checksum(s string) (sum [checksumLen]byte) {
	crc := crc32.ChecksumIEEE([]byte(s))
	for i := range sum {
		sum[checksumLen-1-i] = base62[crc%uint32(len(base62))]
		crc /= uint32(len(base62))
	}
	return sum
}

func notBase62(c rune) bool {
	return (c < '0' || '9' < c) && (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c)
}

func random(n int) string {
	digits := make([]byte, 0, n)
	var pool [64]byte
	for {
		rand.Read(pool[:]) // never fails: the program ends if the system has no randomness
		for _, b := range pool {
			if len(digits) == n {
				return string(digits)
			}
			if int(b) < unbiasedByte {
				digits = append(digits, base62[int(b)%len(base62)])
			}
		}
	}
}
