package apikey_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carecycle/provider-api/server/internal/apikey"
)

var secretFormat = regexp.MustCompile(`^cc_[0-9a-zA-Z]{36}$`)

// secrets draws well-formed secrets from their definition, independent of the code under test.
func secrets() *rapid.Generator[string] {
	return rapid.Map(rapid.StringMatching(`[0-9a-zA-Z]{30}`), withChecksum)
}

func withChecksum(digits string) string {
	payload := "cc_" + digits
	sum := big.NewInt(int64(crc32.ChecksumIEEE([]byte(payload)))).Text(62)
	return payload + strings.Repeat("0", 6-len(sum)) + sum
}

func TestGenerateMakesKeysThatAreAccepted(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret := apikey.Generate()
		if !secretFormat.MatchString(secret) {
			t.Fatalf("format of %q", secret)
		}
		if seen[secret] {
			t.Fatalf("%q came twice", secret)
		}
		seen[secret] = true
		if hash, ok := apikey.HashOf(secret); !ok || hash != sha256.Sum256([]byte(secret)) {
			t.Fatalf("HashOf(%q) = %x, %v", secret, hash, ok)
		}
		if got := apikey.Prefix(secret); got != secret[:9] {
			t.Fatalf("Prefix(%q) = %q", secret, got)
		}
	}
}

// A modulo without rejection would make the first digits a quarter more likely; six standard deviations are a tenth.
func TestGenerateIsUnbiased(t *testing.T) {
	const keys = 8000
	count := map[rune]int{}
	for range keys {
		for _, c := range apikey.Generate()[3:33] {
			count[c]++
		}
	}
	if len(count) != 62 {
		t.Errorf("%d digits in use, want 62", len(count))
	}
	want := keys * 30 / 62
	for c, n := range count {
		if n < want*9/10 || n > want*11/10 {
			t.Errorf("digit %c came %d times, want about %d", c, n, want)
		}
	}
}

func TestNewID(t *testing.T) {
	format := regexp.MustCompile(`^key_[0-9a-zA-Z]{12}$`)
	a, b := apikey.NewID(), apikey.NewID()
	if !format.MatchString(a) || !format.MatchString(b) || a == b {
		t.Errorf("ids %q, %q", a, b)
	}
}

func TestHashOfAcceptsWhatIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := secrets().Draw(t, "secret")
		if hash, ok := apikey.HashOf(secret); !ok || hash != sha256.Sum256([]byte(secret)) {
			t.Fatalf("HashOf = %x, %v", hash, ok)
		}
	})
}

func TestHashOfRefusesEveryWrongCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := secrets().Draw(t, "secret")
		wrong := rapid.Byte().Draw(t, "wrong")
		for i := range len(secret) {
			if secret[i] == wrong {
				continue
			}
			if _, ok := apikey.HashOf(secret[:i] + string([]byte{wrong}) + secret[i+1:]); ok {
				t.Fatalf("accepted with %q at %d", wrong, i)
			}
			if _, ok := apikey.HashOf(secret[:i] + secret[i+1:]); ok {
				t.Fatalf("accepted without the character at %d", i)
			}
			if _, ok := apikey.HashOf(secret[:i] + string([]byte{wrong}) + secret[i:]); ok {
				t.Fatalf("accepted with %q before %d", wrong, i)
			}
		}
		for i := range len(secret) - 1 {
			if a, b := secret[i:i+1], secret[i+1:i+2]; a != b {
				if _, ok := apikey.HashOf(secret[:i] + b + a + secret[i+2:]); ok {
					t.Fatalf("accepted with %d and its neighbour swapped", i)
				}
			}
		}
	})
}

func TestHashOfRefuses(t *testing.T) {
	secret := withChecksum("0123456789abcdefghijABCDEFGHIJ")
	if _, ok := apikey.HashOf(secret); !ok {
		t.Fatal("the key that the others derive from is rejected")
	}
	for name, other := range map[string]string{
		"nothing":                  "",
		"start alone":              "cc_",
		"space before":             " " + secret,
		"newline after":            secret + "\n",
		"quoted":                   `"` + secret + `"`,
		"another start":            "sk_" + secret[3:],
		"start in capitals":        "CC_" + secret[3:],
		"without checksum":         secret[:33],
		"not base62, sum right":    withChecksum("0123456789abcdefghijABCDEFGHI-"),
		"not ASCII, sum right":     withChecksum("0123456789abcdefghijABCDEFGHé"),
		"invalid UTF-8, sum right": withChecksum("0123456789abcdefghijABCDEFGHI\xff"),
		"NUL, sum right":           withChecksum("0123456789abcdefghijABCDEFGHI\x00"),
		"very long":                strings.Repeat(secret, 1000),
	} {
		if hash, ok := apikey.HashOf(other); ok || hash != (apikey.Hash{}) {
			t.Errorf("%s: HashOf = %x, %v; want rejection", name, hash, ok)
		}
	}
}

func TestPrefixOfAnyText(t *testing.T) {
	for _, text := range []string{"", "cc_", "cc_123456"} {
		if got := apikey.Prefix(text); got != text {
			t.Errorf("Prefix(%q) = %q", text, got)
		}
	}
}

func TestParsePermission(t *testing.T) {
	for _, want := range apikey.Permissions() {
		if got, err := apikey.ParsePermission(string(want)); got != want || err != nil {
			t.Errorf("ParsePermission(%q) = %q, %v", want, got, err)
		}
	}
	for _, name := range []string{"", "providers", "Providers:Read", "providers:read ", "providers:delete"} {
		if got, err := apikey.ParsePermission(name); got != "" || !errors.Is(err, apikey.ErrUnknownPermission) {
			t.Errorf("ParsePermission(%q) = %q, %v; want ErrUnknownPermission", name, got, err)
		}
	}
	for _, p := range apikey.Permissions() {
		if !strings.Contains(apikey.ErrUnknownPermission.Error(), string(p)) {
			t.Errorf("%q does not name %s", apikey.ErrUnknownPermission, p)
		}
	}
}

func TestAllows(t *testing.T) {
	reader := apikey.Key{Permissions: []apikey.Permission{apikey.ProvidersRead}}
	if !reader.Allows(apikey.ProvidersRead) || reader.Allows(apikey.ProvidersWrite) || reader.Allows("") {
		t.Error("a reader's key allows something other than reading")
	}
	if none := new(apikey.Key); none.Allows(apikey.ProvidersRead) {
		t.Error("a key without permissions allows reading")
	}
}

func TestActive(t *testing.T) {
	now := time.Date(2026, 6, 17, 19, 7, 23, 0, time.UTC)
	var never time.Time
	before, after := now.Add(-time.Millisecond), now.Add(time.Millisecond)
	for _, c := range []struct {
		name             string
		expires, revoked time.Time
		want             bool
	}{
		{"for ever", never, never, true},
		{"expires later", after, never, true},
		{"expires now", now, never, false},
		{"expired", before, never, false},
		{"revoked from later on", never, after, true},
		{"revoked from now on", never, now, false},
		{"revoked", never, before, false},
		{"expired, revoked from later on", before, after, false},
		{"revoked, expires later", after, before, false},
	} {
		if key := (apikey.Key{ExpiresAt: c.expires, RevokedAt: c.revoked}); key.Active(now) != c.want {
			t.Errorf("%s: Active = %v, want %v", c.name, !c.want, c.want)
		}
	}
}

func ExampleHashOf() {
	secret := apikey.Generate()
	_, ok := apikey.HashOf(secret)
	fmt.Println(len(secret), ok)
	_, ok = apikey.HashOf(secret[1:])
	fmt.Println(ok)
	// Output:
	// 39 true
	// false
}
