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

// TurnOnTwoStep saves the secret of a user whose app has computed the code from it, and returns the recovery codes, which cannot be had
// again. Of the sessions, keep stays. Errors: ErrCode; ErrNotFound if two-step sign-in is on already.
func TurnOnTwoStep(ctx context.Context, store Store, u *User, secret, code, keep string) (recovery []string, _ error) {
	now, err := store.Now(ctx)
	if err != nil {
		return nil, err
	}
	step, ok := matchStep(secret, ungroup(code), now)
	if !ok {
		return nil, ErrCode
	}
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
	code = ungroup(code)
	if len(code) != codes.Digits.Length() {
		return store.UseRecoveryCode(ctx, u.ID, HashOf(strings.ToLower(code)))
	}
	t, err := store.FindTOTP(ctx, u.ID)
	if err != nil {
		return err
	}
	now, err := store.Now(ctx)
	if err != nil {
		return err
	}
	step, ok := matchStep(t.Secret, code, now)
	if !ok {
		return ErrCode
	}
	return store.UseStep(ctx, u.ID, step)
}

// ungroup returns a code without what separates its groups.
func ungroup(code string) string { return strings.NewReplacer(" ", "", "-", "").Replace(code) }

// matchStep returns the step whose code it is: the current one, or one next to it, as the clock of a phone may be wrong by that. It takes
// as long for every code of six characters.
func matchStep(secret, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / int64(stepLength.Seconds())
	for n := current - 1; n <= current+1; n++ {
		if matches, err := hotp.ValidateCustom(code, uint64(n), secret, codes); err == nil && matches {
			step, ok = n, true
		}
	}
	return step, ok
}
