// Package account manages the users of the dashboard: which organizations they belong to, in which role, and how they sign in.
//
// Package dashboard signs people in with it and asks it what they may do; the command users creates them. A Store keeps them. The
// package knows neither HTTP nor a database. Callers of the API are not users: they have keys (package apikey).
//
// A password is kept as an argon2id hash, and a recovery code or the token of a link or a session as its SHA-256. The secret of
// a user's app is kept as it is. No error or log line holds any of them, or an email address.
package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

// User is a person who can sign in. Times are the store's, UTC, whole milliseconds; a zero one means never.
type User struct {
	ID           string // as from newID
	Email        string // in lower case; the name that the person signs in with
	Operator     bool   // may do everything, in every organization
	Disabled     bool   // cannot sign in, and has no session
	PasswordHash string // argon2id; empty until the person has chosen a password
	Subject      string // who the person is to the OpenID Connect issuer (openid.go); "" until the first sign-in with it
	TwoStep      bool   // a password is not enough: sign-in asks for a code, too (totp.go)
	CreatedAt    time.Time
	SignedInAt   time.Time
	Memberships  []Membership // in the order of the organizations' numbers
}

// Membership is a user's role in an organization.
type Membership struct {
	Organization     int64
	OrganizationName string
	Suspended        bool // the organization is: nobody but an operator sees it
	Role             Role
}

// Role is what a user may do in an organization. Each role may do what the ones before it may.
type Role string

// The roles.
const (
	Viewer    Role = "viewer"    // see the records, their history and the keys
	Developer Role = "developer" // change records, and create, rotate and revoke keys
	Owner     Role = "owner"     // invite people, and change their roles
)

// Roles returns every role, the one that may do the least first.
func Roles() []Role { return []Role{Viewer, Developer, Owner} }

// Includes reports whether the role may do what needed may. The empty role may do nothing.
func (r Role) Includes(needed Role) bool {
	return slices.Contains(Roles(), r) && slices.Index(Roles(), r) >= slices.Index(Roles(), needed)
}

// Permissions returns what the role may do through the API.
func (r Role) Permissions() []apikey.Permission {
	switch {
	case r.Includes(Developer):
		return []apikey.Permission{apikey.ProvidersRead, apikey.ProvidersWrite}
	case r.Includes(Viewer):
		return []apikey.Permission{apikey.ProvidersRead}
	}
	return nil
}

// Role returns the user's role in an organization: Owner for an operator, and "" for a stranger.
func (u *User) Role(organization int64) Role {
	if u.Operator {
		return Owner
	}
	for _, m := range u.Memberships {
		if m.Organization == organization {
			return m.Role
		}
	}
	return ""
}

// Errors of a Store and of this package.
var (
	ErrNotFound    = errors.New("there is no such user")
	ErrEmailTaken  = errors.New("there is a user with that email address")
	ErrInvalidLink = errors.New("the link was used, has expired, or is not complete; ask for a new one")
	ErrEmail       = errors.New("it must be an email address, such as ada@example.com")
)

// Session is a browser that is signed in, or was. Its Data is the session manager's.
type Session struct {
	Key       string // the SHA-256 of its token, in base64
	UserID    string
	Data      []byte
	CreatedAt time.Time
	SeenAt    time.Time // when it was last saved
	ExpiresAt time.Time
}

// Invitation is an offer to belong to an organization, for the person with that email address, who may be no user yet.
type Invitation struct {
	Organization     int64
	OrganizationName string
	Email            string // in lower case
	Role             Role
	ExpiresAt        time.Time
}

// Hash is the SHA-256 of the token of a link or an invitation. Tokens are random, so it needs neither salt nor stretching.
type Hash [sha256.Size]byte

// Store keeps users and their sessions. It is safe for concurrent use. Every method can also return an error of package provider,
// such as CodeUnavailable.
type Store interface {
	// CreateUser saves a new user with its memberships. Errors: ErrEmailTaken.
	CreateUser(ctx context.Context, u User) error

	// UserByID and UserByEmail return a user, disabled or not. Errors: ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)

	// ListUsers returns users in the order of their email addresses: at most limit, after one. They are all users, or the members
	// of one organization if that is not 0.
	ListUsers(ctx context.Context, organization int64, after string, limit int) ([]User, error)

	// HasUsers reports whether there is a user, disabled or not.
	HasUsers(ctx context.Context) (bool, error)

	// SetRole gives a user a role in an organization; "" removes the user from it. Errors: ErrNotFound.
	SetRole(ctx context.Context, id string, organization int64, role Role) error

	// SetDisabled disables or enables a user. A disabled user's sessions and links are gone. Errors: ErrNotFound.
	SetDisabled(ctx context.Context, id string, disabled bool) error

	// SetPassword sets a user's password and removes the user's links and sessions, but for the session with the key keep. Attempts
	// stay counted. Errors: ErrNotFound.
	SetPassword(ctx context.Context, id, passwordHash, keep string) error

	// CountAttempt counts an attempt to sign in as a user, and returns how many there were since the user's last sign-in or, if
	// that is later, in the window that began with the first of them.
	CountAttempt(ctx context.Context, id string, window time.Duration) (int, error)

	// RecordSignIn records that a user has signed in, which forgets the attempts.
	RecordSignIn(ctx context.Context, id string) error

	// SetSubject sets the Subject of a user, if it is from. Errors: ErrNotFound, also if it is neither from nor already to.
	SetSubject(ctx context.Context, id, from, to string) error

	// SetTOTP turns two-step sign-in on, and removes the user's sessions, but for the one with the key keep. step is that of the code
	// with which the user has proved to have the secret. Errors: ErrNotFound, also if it is on already.
	SetTOTP(ctx context.Context, id string, t TOTP, step Step, recovery []Hash, keep string) error

	// RemoveTOTP turns it off, and removes the user's recovery codes, and the sessions like SetTOTP. Errors: ErrNotFound.
	RemoveTOTP(ctx context.Context, id, keep string) error

	// FindTOTP returns what codes of a user are checked with. Errors: ErrNotFound, also if two-step sign-in is off.
	FindTOTP(ctx context.Context, id string) (TOTP, error)

	// UseStep records that the code of a step was used. Of several calls with one step, one succeeds. Errors: ErrCode if that code was
	// used, or a later one.
	UseStep(ctx context.Context, id string, step Step) error

	// UseRecoveryCode removes a recovery code. Of several calls with one, one succeeds. Errors: ErrCode if the user has no such code.
	UseRecoveryCode(ctx context.Context, id string, hash Hash) error

	// Now returns the time of the store's clock.
	Now(ctx context.Context) (time.Time, error)

	// SaveLink saves a link with which a user can choose a password, once, until the lifetime is over. It replaces the user's
	// earlier link. Errors: ErrNotFound.
	SaveLink(ctx context.Context, hash Hash, id string, lifetime time.Duration) error

	// UserByLink returns the user of a link that can be used. Errors: ErrInvalidLink.
	UserByLink(ctx context.Context, hash Hash) (User, error)

	// UseLink is SetPassword for the user of a link, and forgets the attempts. Of several calls with one link, one succeeds. Errors:
	// ErrInvalidLink.
	UseLink(ctx context.Context, hash Hash, passwordHash string) (User, error)

	// SaveInvitation saves an invitation, which can be accepted until the lifetime is over. It replaces an earlier one of the same
	// organization for the same address.
	SaveInvitation(ctx context.Context, hash Hash, i Invitation, lifetime time.Duration) error

	// FindInvitation returns an invitation that can be accepted. Errors: ErrInvalidLink.
	FindInvitation(ctx context.Context, hash Hash) (Invitation, error)

	// ListInvitations returns the invitations of an organization that can be accepted, in the order of their addresses.
	ListInvitations(ctx context.Context, organization int64) ([]Invitation, error)

	// RemoveInvitation removes the invitation of an organization for an address, if there is one.
	RemoveInvitation(ctx context.Context, organization int64, email string) error

	// AcceptInvitation removes an invitation and gives the user its role. A user who does not exist is created. Of several calls with
	// one invitation, one succeeds. Errors: ErrInvalidLink; ErrEmailTaken, and the invitation stays, if another user has the address.
	AcceptInvitation(ctx context.Context, hash Hash, u User) error

	// CreateSession saves a new session.
	CreateSession(ctx context.Context, s Session) error

	// UpdateSession saves the Data and the ExpiresAt of a session that has been seen. It does nothing if the session is gone, so that
	// a request cannot bring back the session that another one has removed.
	UpdateSession(ctx context.Context, s Session) error

	// FindSession returns a session that has not expired, and false if there is none with that key.
	FindSession(ctx context.Context, key string) (Session, bool, error)

	// ListSessions returns a user's sessions that have not expired, the latest seen first.
	ListSessions(ctx context.Context, userID string) ([]Session, error)

	// RemoveSession removes a user's session, if there is one with that key.
	RemoveSession(ctx context.Context, userID, key string) error
}

// LinkLifetime is how long a link or an invitation works.
const LinkLifetime = 72 * time.Hour

// Invite creates a user who has no password yet, and returns it with the token of a link to choose one. Of the user given, ID and
// every time are set here. Errors: ErrEmail, ErrEmailTaken.
func Invite(ctx context.Context, store Store, u User) (token string, _ User, err error) {
	if u.Email, err = normalize(u.Email); err != nil {
		return "", User{}, err
	}
	u.ID, u.PasswordHash = newID(), ""
	if err := store.CreateUser(ctx, u); err != nil {
		return "", User{}, fmt.Errorf("create user: %w", err)
	}
	token, err = NewLink(ctx, store, u.ID)
	return token, u, err
}

// NewLink returns the token of a new link for a user, who can still sign in with the current password. Errors: ErrNotFound.
func NewLink(ctx context.Context, store Store, id string) (token string, _ error) {
	token = rand.Text()
	if err := store.SaveLink(ctx, HashOf(token), id, LinkLifetime); err != nil {
		return "", fmt.Errorf("create a link: %w", err)
	}
	return token, nil
}

// Offer saves an invitation, and returns its token. It does the same whether or not a user has the address; who opens the link can
// find out, from the message about a short password. Errors: ErrEmail.
func Offer(ctx context.Context, store Store, i Invitation) (token string, _ Invitation, err error) {
	if i.Email, err = normalize(i.Email); err != nil {
		return "", i, err
	}
	token = rand.Text()
	if err := store.SaveInvitation(ctx, HashOf(token), i, LinkLifetime); err != nil {
		return "", i, fmt.Errorf("invite: %w", err)
	}
	return token, i, nil
}

// Accept accepts an invitation. A user with its address proves it with the password; for anyone else the password is a new user's. With
// ErrCodeNeeded it also returns the user, who can Join after CheckCode. Errors: ErrInvalidLink, ErrPassword for a new user, ErrSignIn and
// ErrCodeNeeded for a user.
func Accept(ctx context.Context, store Store, token, password string) (User, error) {
	i, err := store.FindInvitation(ctx, HashOf(token))
	if err != nil {
		return User{}, err
	}
	u, err := store.UserByEmail(ctx, i.Email)
	switch {
	case err == nil:
		u, err = SignIn(ctx, store, i.Email, password)
	case errors.Is(err, ErrNotFound):
		u = User{ID: newID(), Email: i.Email}
		u.PasswordHash, err = HashPassword(ctx, &u, password)
	}
	if err != nil {
		return u, err
	}
	return u, Join(ctx, store, token, &u)
}

// Join accepts an invitation as a user who is signed in. Errors: ErrInvalidLink; ErrEmailTaken if it is for another address.
func Join(ctx context.Context, store Store, token string, u *User) error {
	return store.AcceptInvitation(ctx, HashOf(token), *u)
}

// HashOf returns the hash of a token.
func HashOf(token string) Hash { return sha256.Sum256([]byte(token)) }

// FindByEmail returns the user of an email address, however that is written. Errors: ErrEmail, ErrNotFound.
func FindByEmail(ctx context.Context, store Store, email string) (User, error) {
	email, err := normalize(email)
	if err != nil {
		return User{}, err
	}
	return store.UserByEmail(ctx, email)
}

const maxEmail = 254 // RFC 5321, 4.5.3.1.3, without the brackets

// normalize returns the normal form of an email address. It rejects letters outside ASCII whose lower case is in ASCII, such as the Kelvin
// sign: in lower case it would be another address, maybe somebody else's.
func normalize(email string) (string, error) {
	if strings.ContainsFunc(email, func(r rune) bool { return r > unicode.MaxASCII && unicode.ToLower(r) <= unicode.MaxASCII }) {
		return "", ErrEmail
	}
	email = strings.ToLower(strings.TrimSpace(email))
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > maxEmail || strings.ContainsFunc(email, isUnsuitable) {
		return "", ErrEmail
	}
	return email, nil
}

// isUnsuitable reports whether a character would break a list.
func isUnsuitable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// newID returns the ID of a new user. It is unlike a key's: both are in the history of records.
func newID() string { return IDPrefix + strings.ToLower(rand.Text()[:idRandomLen]) } // 80 bits

// IDPrefix is how the ID of every user begins.
const IDPrefix = "usr_"

const idRandomLen = 16

// IsID reports whether a text has the form of an ID.
func IsID(text string) bool {
	digits, found := strings.CutPrefix(text, IDPrefix)
	return found && len(digits) == idRandomLen && strings.Trim(digits, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// SortSessions puts sessions in the order of ListSessions.
func SortSessions(sessions []Session) {
	slices.SortFunc(sessions, func(a, b Session) int { return b.SeenAt.Compare(a.SeenAt) })
}
