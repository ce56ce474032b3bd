package account_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
)

// changingStore is a store whose user changes while a password is compared.
type changingStore struct {
	account.Store
	change func() error
}

func (s changingStore) CountAttempt(ctx context.Context, id string, window time.Duration) (int, error) {
	if err := s.change(); err != nil {
		return 0, err
	}
	return s.Store.CountAttempt(ctx, id, window)
}

func TestSignInWhileUserChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(account.Store, *account.User) error
		want   error
	}{
		"two-step turned on": {func(s account.Store, u *account.User) error {
			_, err := account.TurnOnTwoStep(t.Context(), s, u, "GEZDGNBVGY3TQOJQ", 1, "")
			return err
		}, account.ErrCodeNeeded},
		"password changed": {func(s account.Store, u *account.User) error { return s.SetPassword(t.Context(), u.ID, "another", "") }, account.ErrSignIn},
		"disabled":         {func(s account.Store, u *account.User) error { return s.SetDisabled(t.Context(), u.ID, true) }, account.ErrSignIn},
	} {
		store, u := newUser(t, time.Now)
		changing := changingStore{store, func() error { return c.change(store, &u) }}
		if _, err := account.SignIn(t.Context(), changing, u.Email, password); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}
