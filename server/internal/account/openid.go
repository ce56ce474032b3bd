package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Identity is what an OpenID Connect issuer says of a person.
type Identity struct {
	Issuer  string // its URL
	Subject string // what it calls the person; unlike the address, it is never given to another one
	Email   string // verified
}

// String returns the Subject of a user with this identity. A URL has no space.
func (i Identity) String() string { return i.Issuer + " " + i.Subject }

// ErrOtherPerson says that the issuer has signed in another person than before with the email address of a user.
var ErrOtherPerson = fmt.Errorf("%w: the issuer knew the user as another person", ErrSignIn)

// SignInAs returns the user of an identity, and records the sign-in. The user is found by the address. At the first sign-in with an issuer
// it links the user to the identity, removes the password, and ends the sessions: the password may be that of somebody who has invited the
// person. With two-step sign-in it changes nothing, as it takes a code, too: with ErrCodeNeeded it returns the user, as SignIn does, and
// the caller calls LinkIdentity after the code.
//
// Errors: ErrSignIn if there is no such user or the user is disabled; ErrOtherPerson, with the user; ErrCodeNeeded; or the store's.
func SignInAs(ctx context.Context, store Store, i Identity) (User, error) {
	u, err := FindByEmail(ctx, store, i.Email)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrEmail), err == nil && u.Disabled:
		return User{}, ErrSignIn
	case err != nil:
		return User{}, err
	case isOther(&u, i.String()):
		return u, ErrOtherPerson
	case u.TwoStep:
		return u, ErrCodeNeeded
	}
	if err := LinkIdentity(ctx, store, &u, i.String()); err != nil {
		return u, err
	}
	if u.PasswordHash != "" {
		if err := store.SetPassword(ctx, u.ID, "", ""); err != nil {
			return User{}, err
		}
	}
	return u, store.RecordSignIn(ctx, u.ID)
}

// LinkIdentity links a user to an identity, as its String is, at the first sign-in with its issuer. Errors: ErrOtherPerson if the user is
// linked to another one of this issuer.
func LinkIdentity(ctx context.Context, store Store, u *User, identity string) error {
	if u.Subject == identity {
		return nil
	}
	if isOther(u, identity) {
		return ErrOtherPerson
	}
	err := store.SetSubject(ctx, u.ID, u.Subject, identity)
	if errors.Is(err, ErrNotFound) { // or another sign-in came first
		return ErrOtherPerson
	}
	return err
}

// isOther reports whether a user is linked to another identity of the same issuer. If the operator has changed the issuer, there is
// nothing to compare.
func isOther(u *User, identity string) bool {
	issuer, _, _ := strings.Cut(identity, " ")
	return u.Subject != identity && strings.HasPrefix(u.Subject, issuer+" ")
}
