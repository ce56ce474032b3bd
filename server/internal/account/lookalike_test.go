package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
)

// The lower case of two letters outside ASCII is in ASCII: i of İ, and k of the sign for kelvin. At an issuer they are other addresses,
// and gİthub.com is another domain.
func TestLookAlikeAddress(t *testing.T) {
	t.Parallel()
	store, _ := newUser(t, time.Now)
	for user, lookAlike := range map[string]string{"nick@example.com": "n\u0130ck@example.com", "mark@kite.example": "mark@\u212aite.example"} {
		if _, _, err := account.Invite(t.Context(), store, account.User{Email: user}); err != nil {
			t.Fatal(err)
		}
		if u, err := account.SignInAs(t.Context(), store, account.Identity{Issuer: "https://issuer.example", Subject: "1", Email: lookAlike}); !errors.Is(err, account.ErrSignIn) {
			t.Errorf("%q signs in as %q: error %v, want %v", lookAlike, u.Email, err, account.ErrSignIn)
		}
	}
}
