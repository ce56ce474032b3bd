package account

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// ErrSignIn says that the email address or the password is wrong, that the user is disabled, or that someone has tried too many
// passwords for the user, so that a stranger does not learn which. After too many, even the right one is refused until the window is
// over.
var ErrSignIn = errors.New("the email address or the password is wrong")

// ErrTooManyAttempts says that a user who is signed in has tried too many passwords.
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

// hashings bounds how many passwords are hashed at once, and with them the memory and the processors that strangers can take from the
// requests of the API.
var hashings = semaphore.NewWeighted(max(1, int64(runtime.GOMAXPROCS(0)/2)))

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

// unknown is the hash that a password is compared with if there is no user, or one without a password, so that it takes as long. No
// password has it.
const unknown = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// SignIn returns the user of an email address and a password, and records the sign-in. With ErrCodeNeeded it also returns the user, who
// is signed in only after CheckCode; until then the attempts stay counted, so that the password does not give more of them for codes.
// Errors: ErrSignIn, ErrCodeNeeded, or the store's.
//
// It does not know where the attempt comes from; its caller limits the attempts of an address.
func SignIn(ctx context.Context, store Store, email, password string) (User, error) {
	u, err := FindByEmail(ctx, store, email)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrEmail) {
		return User{}, err
	}
	known := err == nil && !u.Disabled && u.PasswordHash != ""
	if !known {
		u = User{}
	}
	attempts, matches, err := attempt(ctx, store, &u, password)
	if err != nil {
		return User{}, err
	}
	if !known || !matches || attempts > MaxAttempts {
		return User{}, ErrSignIn
	}
	compared := u.PasswordHash
	u, err = store.UserByID(ctx, u.ID) // again, as comparing a password takes long, and has to wait for others
	switch {
	case errors.Is(err, ErrNotFound), err == nil && (u.Disabled || u.PasswordHash != compared):
		return User{}, ErrSignIn
	case err != nil:
		return User{}, err
	case u.TwoStep:
		return u, ErrCodeNeeded
	}
	return u, store.RecordSignIn(ctx, u.ID)
}

// attempt counts an attempt of a known user, and compares the password. It does both at the same time, so that the write shows
// less in how long an attempt takes. Attempts at the same time count, as each is counted before its result is used.
func attempt(ctx context.Context, store Store, u *User, password string) (attempts int, matches bool, _ error) {
	group, ctx := errgroup.WithContext(ctx)
	if u.ID != "" {
		group.Go(func() (err error) {
			attempts, err = store.CountAttempt(ctx, u.ID, AttemptWindow)
			return err
		})
	}
	group.Go(func() (err error) {
		matches, err = comparePassword(ctx, password, u.PasswordHash)
		return err
	})
	err := group.Wait()
	return attempts, matches, err
}

// CheckPassword reports whether a password is the user's, who is signed in and proves it again. Errors: ErrTooManyAttempts, or the
// store's.
func CheckPassword(ctx context.Context, store Store, u *User, password string) (bool, error) {
	attempts, matches, err := attempt(ctx, store, u, password)
	if err == nil && attempts > MaxAttempts {
		return false, ErrTooManyAttempts
	}
	return matches, err
}

func comparePassword(ctx context.Context, password, hash string) (bool, error) {
	if err := hashings.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer hashings.Release(1)
	if hash == "" {
		hash = unknown
	}
	if utf8.RuneCountInString(password) > MaxPassword {
		password = ""
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}
