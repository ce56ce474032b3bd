package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/semaphore"
)

// ErrSignIn says that the email address or the password is wrong, or that the user is disabled, so that a stranger does not learn
// which.
var ErrSignIn = errors.New("the email address or the password is wrong")

// ErrTooManyAttempts says that someone has tried too many passwords for a user. Even the right one is refused until the window is
// over.
var ErrTooManyAttempts = errors.New("too many attempts")

// The attempts to sign in as one user, whatever address they come from.
const (
	MaxAttempts   = 10
	AttemptWindow = 15 * time.Minute
)

// The lengths of a password in characters, following NIST SP 800-63B: long, and no rules about what it is made of.
const (
	MinPassword = 12
	MaxPassword = 200
)

// ErrPassword says that a password cannot be chosen.
var ErrPassword = fmt.Errorf("a password must have %d to %d characters, and not contain the email address", MinPassword, MaxPassword)

// hashing are OWASP's parameters for argon2id: 19 MiB and about 30 ms for each attempt.
var hashing = argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hashings bounds how many passwords are hashed at once, and with them the memory that strangers can make this process use.
var hashings = semaphore.NewWeighted(4)

// HashPassword returns the hash of a password that a user chooses. Errors: ErrPassword.
func HashPassword(ctx context.Context, u *User, password string) (string, error) {
	name, _, _ := strings.Cut(u.Email, "@")
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword || n > MaxPassword || !utf8.ValidString(password),
		strings.Contains(strings.ToLower(password), u.Email), strings.EqualFold(password, name):
		return "", ErrPassword
	}
	if err := hashings.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer hashings.Release(1)
	return argon2id.CreateHash(password, &hashing)
}

// unknown is the hash that the password of an unknown user is compared with, so that it takes as long as that of a known one.
const unknown = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// SignIn returns the user of an email address and a password, and records the sign-in. Errors: ErrSignIn, ErrTooManyAttempts, or the
// store's.
//
// It does not know where the attempt comes from; its caller limits the attempts of an address.
func SignIn(ctx context.Context, store Store, email, password string) (User, error) {
	u, err := FindByEmail(ctx, store, email)
	known := err == nil && !u.Disabled && u.PasswordHash != ""
	switch {
	case known:
		attempts, err := store.CountAttempt(ctx, u.ID, AttemptWindow) // before the comparison, so that attempts at the same time count
		if err != nil {
			return User{}, err
		}
		if attempts > MaxAttempts {
			return User{}, ErrTooManyAttempts
		}
	case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrEmail):
		return User{}, err
	default:
		u.PasswordHash = unknown
	}
	matches, err := comparePassword(ctx, password, u.PasswordHash)
	if err != nil {
		return User{}, err
	}
	if !known || !matches {
		return User{}, ErrSignIn
	}
	return u, store.RecordSignIn(ctx, u.ID)
}

// CheckPassword reports whether a password is the user's, who is signed in and proves it again. Errors: ErrTooManyAttempts, or the
// store's.
func CheckPassword(ctx context.Context, store Store, u *User, password string) (bool, error) {
	attempts, err := store.CountAttempt(ctx, u.ID, AttemptWindow)
	if err != nil {
		return false, err
	}
	if attempts > MaxAttempts {
		return false, ErrTooManyAttempts
	}
	return comparePassword(ctx, password, u.PasswordHash)
}

func comparePassword(ctx context.Context, password, hash string) (bool, error) {
	if err := hashings.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer hashings.Release(1)
	if utf8.RuneCountInString(password) > MaxPassword {
		password = ""
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}
