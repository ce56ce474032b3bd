package account_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/sqlite"
	"github.com/carecycle/provider-api/server/internal/sqlitetest"
)

const password = "correct horse battery"

// newUser returns a store with a user who has the password.
func newUser(t *testing.T, now func() time.Time) (*sqlite.Store, account.User) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlitetest.New(t, filepath.Join(t.TempDir(), "test.db")), sqlite.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	token, u, err := account.Invite(t.Context(), store, account.User{Email: "ada@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := account.HashPassword(t.Context(), &u, password)
	if err != nil {
		t.Fatal(err)
	}
	if u, err = store.UseLink(t.Context(), account.HashOf(token), hash); err != nil {
		t.Fatal(err)
	}
	return store, u
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	store, u := newUser(t, time.Now)
	if _, _, err := account.Invite(t.Context(), store, account.User{Email: "new@example.com"}); err != nil {
		t.Fatal(err)
	}
	for name, attempt := range map[string]struct {
		email, password string
		want            error
	}{
		"right":                      {u.Email, password, nil},
		"an address in capitals":     {" ADA@example.com", password, nil},
		"a wrong password":           {u.Email, password + ".", account.ErrSignIn},
		"no password":                {u.Email, "", account.ErrSignIn},
		"a password of a megabyte":   {u.Email, strings.Repeat("x", 1<<20), account.ErrSignIn},
		"an unknown user":            {"bob@example.com", password, account.ErrSignIn},
		"no address":                 {"", password, account.ErrSignIn},
		"a user without a password":  {"new@example.com", "", account.ErrSignIn},
		"a user without a password.": {"new@example.com", password, account.ErrSignIn},
	} {
		got, err := account.SignIn(t.Context(), store, attempt.email, attempt.password)
		if !errors.Is(err, attempt.want) || err == nil && got.ID != u.ID {
			t.Errorf("%s: user %q, error %v, want %v", name, got.ID, err, attempt.want)
		}
	}
	if err := store.SetDisabled(t.Context(), u.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := account.SignIn(t.Context(), store, u.Email, password); !errors.Is(err, account.ErrSignIn) {
		t.Errorf("a disabled user: error %v, want %v", err, account.ErrSignIn)
	}
}

// TestTooManyAttempts guesses at the same time. After MaxAttempts guesses the right password is refused like a wrong one.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	store, u := newUser(t, time.Now)
	var all sync.WaitGroup
	for range account.MaxAttempts {
		all.Go(func() {
			if _, err := account.SignIn(t.Context(), store, u.Email, "a wrong password"); !errors.Is(err, account.ErrSignIn) {
				t.Errorf("a wrong password: error %v, want %v", err, account.ErrSignIn)
			}
		})
	}
	all.Wait()
	if _, err := account.SignIn(t.Context(), store, u.Email, password); !errors.Is(err, account.ErrSignIn) {
		t.Errorf("the right password: error %v, want %v", err, account.ErrSignIn)
	}
	if _, err := account.CheckPassword(t.Context(), store, &u, password); !errors.Is(err, account.ErrTooManyAttempts) {
		t.Errorf("the right password of a user who is signed in: error %v, want %v", err, account.ErrTooManyAttempts)
	}
}

// TestCheckNoPassword checks the password of a user who has signed in with a link and has none.
func TestCheckNoPassword(t *testing.T) {
	t.Parallel()
	store, _ := newUser(t, time.Now)
	_, u, err := account.Invite(t.Context(), store, account.User{Email: "new@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", password} {
		if matches, err := account.CheckPassword(t.Context(), store, &u, password); matches || err != nil {
			t.Errorf("%q: got %v, error %v, want false", password, matches, err)
		}
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	u := account.User{Email: "ada-lovelace@example.com"}
	for text, want := range map[string]error{
		password:                     nil,
		"ünïcödé pass":               nil,
		"too short":                  account.ErrPassword,
		"Ada-Lovelace":               account.ErrPassword,
		"x ada-lovelace@example.com": account.ErrPassword,
		strings.Repeat("x", 201):     account.ErrPassword,
		"invalid \xff UTF-8":         account.ErrPassword,
		strings.Repeat("é", 200):     nil,
		strings.Repeat(" ", 12):      nil,
		strings.Repeat("x", 1<<20):   account.ErrPassword,
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": nil,
	} {
		hash, err := account.HashPassword(t.Context(), &u, text)
		if !errors.Is(err, want) || strings.Contains(hash, text) {
			t.Errorf("%.20q: error %v, want %v", text, err, want)
		}
		if err == nil && !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("%.20q: the hash is %s, want argon2id with OWASP's parameters", text, hash)
		}
	}
}

func TestInvite(t *testing.T) {
	t.Parallel()
	store, _ := newUser(t, time.Now)
	for _, email := range []string{"", "ada", "Ada <ada@example.com>", "a b@example.com", "a@b@c", "ada@example.com\nBcc: x", strings.Repeat("a", 250) + "@example.com"} {
		if _, _, err := account.Invite(t.Context(), store, account.User{Email: email}); !errors.Is(err, account.ErrEmail) {
			t.Errorf("%q: error %v, want %v", email, err, account.ErrEmail)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		role, needed account.Role
		want         bool
	}{
		{account.Owner, account.Viewer, true}, {account.Owner, account.Owner, true}, {account.Developer, account.Owner, false},
		{account.Viewer, account.Developer, false}, {"", account.Viewer, false}, {"root", account.Viewer, false},
	} {
		if got := test.role.Includes(test.needed); got != test.want {
			t.Errorf("%q includes %q: %v, want %v", test.role, test.needed, got, test.want)
		}
	}
}
