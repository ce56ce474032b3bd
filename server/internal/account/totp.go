package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// TOTP is what codes of a user are checked with: those that an app computes from a secret and the time (RFC 6238), and the others.
type TOTP struct {
	Secret        string // in base32, readable, as the codes are computed from it
	RecoveryCodes int    // how many are left
}

// ErrCode says that a code is wrong, or was used before.
var ErrCode = errors.New("the code is wrong or was used")

// ErrCodeNeeded says that a password is right, and that a code is needed, too.
var ErrCodeNeeded = errors.New("a code is needed, too")

// recoveryCodes is how many a user gets.
const recoveryCodes = 10

// codes are what every app computes unless a link says otherwise.
var codes = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// stepLength is how long an app shows a code.
const stepLength = 30 * time.Second

// NewSecret returns a new secret for a user's app, with the link that a QR code shows.
func NewSecret(u *User) (*otp.Key, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "careCycle", AccountName: u.Email})
	if err != nil {
		return nil, fmt.Errorf("generate a secret: %w", err)
	}
	return key, nil
}

// Step is the time for which a code was computed: half minutes since 1970.
type Step int64

// CheckSecret returns the step of a code that was computed from a secret now. Errors: ErrCode.
func CheckSecret(ctx context.Context, store Store, secret, code string) (Step, error) {
	now, err := store.Now(ctx)
	if err != nil {
		return 0, err
	}
	return matchStep(secret, ungroup(code), now)
}

// TurnOnTwoStep saves the secret of a user, with the step that CheckSecret has returned for it, and returns the recovery codes, which
// cannot be had again. Of the user's sessions, keep stays. Errors: ErrNotFound if two-step sign-in is on already.
func TurnOnTwoStep(ctx context.Context, store Store, u *User, secret string, step Step, keep string) (recovery []string, _ error) {
	hashes := make([]Hash, recoveryCodes)
	for i := range hashes {
		text := strings.ToLower(rand.Text()[:recoveryCodeLen]) // 80 bits, so it needs neither salt nor stretching
		recovery = append(recovery, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		hashes[i] = HashOf(text)
	}
	return recovery, store.SetTOTP(ctx, u.ID, TOTP{Secret: secret}, step, hashes, keep)
}

const recoveryCodeLen = 16

// CheckCode uses a code of a user: one of the app, or a recovery code. Each is accepted once, and so is none that is older than the
// last one. An attempt counts like one with a password. Errors: ErrCode, ErrTooManyAttempts.
//
// Like SignIn, it leaves it to its caller to limit the attempts of an address.
func CheckCode(ctx context.Context, store Store, u *User, code string) error {
	attempts, err := store.CountAttempt(ctx, u.ID, AttemptWindow)
	if err != nil {
		return err
	}
	if attempts > MaxAttempts {
		return ErrTooManyAttempts
	}
	if text := ungroup(code); len(text) != codes.Digits.Length() {
		return store.UseRecoveryCode(ctx, u.ID, HashOf(strings.ToLower(text)))
	}
	t, err := store.FindTOTP(ctx, u.ID)
	if err != nil {
		return err
	}
	step, err := CheckSecret(ctx, store, t.Secret, code)
	if err != nil {
		return err
	}
	return store.UseStep(ctx, u.ID, step)
}

// CompleteSignIn is the second step of SignIn: it uses a code, and records the sign-in. Errors: those of CheckCode.
func CompleteSignIn(ctx context.Context, store Store, u *User, code string) error {
	if err := CheckCode(ctx, store, u, code); err != nil {
		return err
	}
	return store.RecordSignIn(ctx, u.ID)
}

// ungroup returns a code without what separates its groups.
func ungroup(code string) string { return strings.NewReplacer(" ", "", "-", "").Replace(code) }

// matchStep returns the step whose code it is: the current one, or one next to it, as the clock of a phone may be wrong by that. It takes
// as long for every code of six characters. Errors: ErrCode.
func matchStep(secret, code string, now time.Time) (Step, error) {
	found, err := Step(0), ErrCode
	current := now.Unix() / int64(stepLength.Seconds())
	for step := current - 1; step <= current+1; step++ {
		if matches, wrong := hotp.ValidateCustom(code, uint64(step), secret, codes); wrong == nil && matches {
			found, err = Step(step), nil
		}
	}
	return found, err
}
