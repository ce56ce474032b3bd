package account_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/pquerna/otp/totp"
)

// newTwoStepUser returns a user like newUser's, who has turned two-step sign-in on, the secret, the recovery codes, and the clock.
func newTwoStepUser(t *testing.T) (store *sqlite.Store, u account.User, secret string, recovery []string, clock *storetest.Clock) {
	t.Helper()
	clock = storetest.NewClock(time.Date(2026, 6, 17, 19, 7, 0, 0, time.UTC))
	store, u = newUser(t, clock.Now)
	key, err := account.NewSecret(&u)
	if err != nil {
		t.Fatal(err)
	}
	secret = key.Secret()
	step, err := account.CheckSecret(t.Context(), store, secret, codeAt(t, secret, clock.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if recovery, err = account.TurnOnTwoStep(t.Context(), store, &u, secret, step, ""); err != nil {
		t.Fatal(err)
	}
	if u, err = store.UserByID(t.Context(), u.ID); err != nil || !u.TwoStep {
		t.Fatalf("user %+v, error %v", u, err)
	}
	return store, u, secret, recovery, clock
}

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestTwoStep signs in with a password and a code of the app, at the edges of the times when it works.
func TestTwoStep(t *testing.T) {
	t.Parallel()
	store, u, secret, _, clock := newTwoStepUser(t)
	now := clock.Move(time.Hour)
	for _, test := range []struct {
		name string
		code string
		want error
	}{
		{"a code of an hour ago", codeAt(t, secret, now.Add(-time.Hour)), account.ErrCode},
		{"a code of a minute ago", codeAt(t, secret, now.Add(-time.Minute)), account.ErrCode},
		{"a code of a minute ahead", codeAt(t, secret, now.Add(time.Minute)), account.ErrCode},
		{"of half a minute ago", codeAt(t, secret, now.Add(-30*time.Second)), nil},
		{"that again", codeAt(t, secret, now.Add(-30*time.Second)), account.ErrCode},
		{"of now, in two groups", codeAt(t, secret, now)[:3] + " " + codeAt(t, secret, now)[3:], nil},
		{"that again", codeAt(t, secret, now), account.ErrCode},
		{"of half a minute ahead", codeAt(t, secret, now.Add(30*time.Second)), nil},
		{"of now, after a later one", codeAt(t, secret, now), account.ErrCode},
	} {
		got, err := account.SignIn(t.Context(), store, u.Email, password)
		if !errors.Is(err, account.ErrCodeNeeded) || got.ID != u.ID {
			t.Fatalf("%s: the password alone: user %q, error %v, want %v", test.name, got.ID, err, account.ErrCodeNeeded)
		}
		if err := account.CheckCode(t.Context(), store, &u, test.code); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if err := store.RecordSignIn(t.Context(), u.ID); err != nil { // so that there are few attempts
			t.Fatal(err)
		}
	}
	if _, err := account.SignIn(t.Context(), store, u.Email, password+"."); !errors.Is(err, account.ErrSignIn) {
		t.Errorf("a wrong password: error %v, want %v", err, account.ErrSignIn)
	}
}

// TestWrongCodes sends what is no code of the user's app, and no recovery code.
func TestWrongCodes(t *testing.T) {
	t.Parallel()
	store, u, _, recovery, _ := newTwoStepUser(t)
	other, err := account.NewSecret(&u)
	if err != nil {
		t.Fatal(err)
	}
	now, err := store.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"", "1", "ééé", "\x00\xff\x00\x00\x00\x00", "１２３４５６", strings.Repeat("1", 1<<20), codeAt(t, other.Secret(), now), recovery[0] + "a"} {
		if err := account.CheckCode(t.Context(), store, &u, code); !errors.Is(err, account.ErrCode) {
			t.Errorf("%.20q: error %v, want %v", code, err, account.ErrCode)
		}
	}
}

// TestRecoveryCodes uses each of them once, however it is written.
func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	store, u, _, recovery, _ := newTwoStepUser(t)
	if len(recovery) != 10 {
		t.Fatalf("got %d recovery codes, want 10", len(recovery))
	}
	for i, code := range recovery {
		if i%2 == 1 {
			code = " " + strings.ToUpper(strings.ReplaceAll(code, "-", " "))
		}
		if err := account.CheckCode(t.Context(), store, &u, code); err != nil {
			t.Errorf("%d: error %v", i, err)
		}
		if err := store.RecordSignIn(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if left, err := store.FindTOTP(t.Context(), u.ID); err != nil || left.RecoveryCodes != len(recovery)-i-1 {
			t.Errorf("%d codes are left after %d, error %v", left.RecoveryCodes, i+1, err)
		}
	}
	if err := account.CheckCode(t.Context(), store, &u, recovery[0]); !errors.Is(err, account.ErrCode) {
		t.Errorf("the first one again: error %v, want %v", err, account.ErrCode)
	}
}

// TestTooManyCodes guesses codes, some at the same time. Neither the right password nor a new one gives more attempts; the window of the
// attempts has to end. The right code is refused like a wrong one, and can be used afterwards.
func TestTooManyCodes(t *testing.T) {
	t.Parallel()
	store, u, _, recovery, clock := newTwoStepUser(t)
	if err := store.RecordSignIn(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	var guesses atomic.Int32
	var all sync.WaitGroup
	for range 2 {
		if _, err := account.SignIn(t.Context(), store, u.Email, password); !errors.Is(err, account.ErrCodeNeeded) {
			t.Fatalf("error %v, want %v", err, account.ErrCodeNeeded)
		}
		for range account.MaxAttempts / 2 {
			all.Go(func() {
				switch err := account.CheckCode(t.Context(), store, &u, "wrong"); {
				case errors.Is(err, account.ErrCode):
					guesses.Add(1)
				case !errors.Is(err, account.ErrTooManyAttempts):
					t.Errorf("error %v", err)
				}
			})
		}
		all.Wait()
		if err := store.SetPassword(t.Context(), u.ID, u.PasswordHash, ""); err != nil {
			t.Fatal(err)
		}
	}
	if want := int32(account.MaxAttempts - 2); guesses.Load() != want {
		t.Errorf("%d codes were compared, want %d, as two passwords were", guesses.Load(), want)
	}
	if err := account.CheckCode(t.Context(), store, &u, recovery[0]); !errors.Is(err, account.ErrTooManyAttempts) {
		t.Errorf("a right code: error %v, want %v", err, account.ErrTooManyAttempts)
	}
	clock.Move(account.AttemptWindow)
	if err := account.CheckCode(t.Context(), store, &u, recovery[0]); err != nil {
		t.Errorf("after the window: error %v", err)
	}
}

// TestTurnOn proves a secret with a code of another one, and turns two-step sign-in on where it is on.
func TestTurnOn(t *testing.T) {
	t.Parallel()
	store, u, secret, _, clock := newTwoStepUser(t)
	other, err := account.NewSecret(&u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.CheckSecret(t.Context(), store, other.Secret(), codeAt(t, secret, clock.Now())); !errors.Is(err, account.ErrCode) {
		t.Errorf("a code of another secret: error %v, want %v", err, account.ErrCode)
	}
	if _, err := account.TurnOnTwoStep(t.Context(), store, &u, other.Secret(), 1, ""); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("on: error %v, want %v", err, account.ErrNotFound)
	}
	if err := store.RemoveTOTP(t.Context(), u.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := account.SignIn(t.Context(), store, u.Email, password); err != nil {
		t.Errorf("off: the password is not enough: %v", err)
	}
}

// TestAcceptWithTwoStep accepts an invitation as a user with two-step sign-in: the password alone does not.
func TestAcceptWithTwoStep(t *testing.T) {
	t.Parallel()
	store, u, _, _, _ := newTwoStepUser(t)
	number, _, err := store.EnsureOrganization(t.Context(), "Clinic")
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := account.Offer(t.Context(), store, account.Invitation{Organization: number, Email: u.Email, Role: account.Owner})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := account.Accept(t.Context(), store, token, password); !errors.Is(err, account.ErrCodeNeeded) || got.ID != u.ID {
		t.Errorf("user %q, error %v, want %v", got.ID, err, account.ErrCodeNeeded)
	}
	if u, err = store.UserByID(t.Context(), u.ID); err != nil || u.Role(number) != "" {
		t.Errorf("the user is %q there, error %v", u.Role(number), err)
	}
	if err := account.Join(t.Context(), store, token, &u); err != nil {
		t.Fatal(err)
	}
	if u, err = store.UserByID(t.Context(), u.ID); err != nil || u.Role(number) != account.Owner {
		t.Errorf("the user is %q there, error %v", u.Role(number), err)
	}
}
