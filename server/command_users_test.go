package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestUsers runs the commands about users on a database, and uses a link with a server.
func TestUsers(t *testing.T) {
	t.Parallel()
	database := migrated(t, filepath.Join(t.TempDir(), "test.db"))
	command := func(code int, line string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, got := run("", append(strings.Fields(line), "--database", database)...)
		if got != code {
			t.Errorf("%s: exit code %d, want %d: %s", line, got, code, stderr)
		}
		return stdout, stderr
	}
	for _, name := range []string{"acme", "umbrella"} {
		command(0, "keys create --name test --organization "+name)
	}
	link, _ := command(0, "users create Ada@example.com --organization acme --role developer --url https://dashboard.example.com/")
	if !strings.HasPrefix(link, "https://dashboard.example.com/dashboard/links/") {
		t.Errorf("the link is %s", link)
	}
	for line, want := range map[string]string{
		"users create ada@example.com --operator":                        "there is a user with that email address",
		"users create bob@example.com --organization nobody":             `there is no organization "nobody"`,
		"users create bob --operator":                                    "it must be an email address",
		"users disable bob@example.com":                                  "there is no user with that email address",
		"users role ada@example.com owner --organization acme-of-canary": "there is no organization",
	} {
		if _, stderr := command(1, line); !strings.Contains(stderr, want) || strings.Contains(stderr, "bob@") {
			t.Errorf("%s: %s", line, stderr)
		}
	}
	command(2, "users create bob@example.com")
	command(2, "users create bob@example.com --operator --organization acme")

	// A user who is no member gets a link, which takes the password: the operator cannot know whose the address is.
	link, _ = command(0, "users role ada@example.com owner --organization umbrella")
	if !strings.Contains(link, "/dashboard/invitations/") {
		t.Errorf("the link is %s", link)
	}
	list, _ := command(0, "users list")
	if strings.Contains(list, "umbrella") || !strings.Contains(list, "ada@example.com\tusr_") || !strings.Contains(list, "\tinvited\tdeveloper of \"acme\"") {
		t.Errorf("the list:\n%s", list)
	}
	id := regexp.MustCompile("usr_[a-z2-7]{16}").FindString(list)
	trail := filepath.Join(t.TempDir(), "audit.log")
	command(0, "history --key "+id+" --audit "+trail)
	if lines, err := os.ReadFile(trail); err != nil || strings.Count(string(lines), `"key":"`+id+`"`) != 2 {
		t.Errorf("the audit trail of what a user did, error %v:\n%s", err, lines)
	}
	if found, _ := command(0, "audit search "+trail+" --key "+id); strings.Count(found, "history show") != 2 {
		t.Errorf("the search for who looked:\n%s", found)
	}
	command(0, "users role ada@example.com owner --organization acme")
	command(0, "users disable ada@example.com")
	if _, stderr := command(1, "users link ada@example.com"); !strings.Contains(stderr, "users enable comes first") {
		t.Errorf("a link for a disabled user: %s", stderr)
	}
	if list, _ := command(0, "users list"); !strings.Contains(list, "\tdisabled\towner of \"acme\"") {
		t.Errorf("the list:\n%s", list)
	}
	command(0, "users enable ada@example.com")
	if _, stderr := command(1, "users reset-two-step ada@example.com"); !strings.Contains(stderr, "has not turned it on") {
		t.Errorf("reset what is off: %s", stderr)
	}
	if _, stderr := command(1, "users reset-openid ada@example.com"); !strings.Contains(stderr, "has not signed in with an issuer") {
		t.Errorf("reset what is not set: %s", stderr)
	}
	query(t, database, "UPDATE users SET openid_subject = 'https://issuer.example 1'")
	command(0, "users reset-openid ada@example.com --audit "+trail)
	if row := query(t, database, "SELECT count(*) FROM users WHERE openid_subject IS NOT NULL"); row[0] != 0 {
		t.Error("the user is still linked")
	}
	query(t, database, "UPDATE users SET totp_secret = 'SECRET'")
	query(t, database, "INSERT INTO recovery_codes (user_id, hash) SELECT id, x'00' FROM users")
	if list, _ := command(0, "users list"); !strings.Contains(list, "\ttwo-step on\n") || strings.Contains(list, "SECRET") {
		t.Errorf("the list:\n%s", list)
	}
	if _, stderr := command(0, "users link ada@example.com"); !strings.Contains(stderr, "sign-in still asks for a code") {
		t.Errorf("the link of a user with two-step sign-in: %s", stderr)
	}
	command(0, "users reset-two-step ada@example.com --audit "+trail)
	if list, _ := command(0, "users list"); !strings.Contains(list, "\ttwo-step off\n") {
		t.Errorf("the list:\n%s", list)
	}
	if lines, err := os.ReadFile(trail); err != nil || strings.Count(string(lines), `"operation":"users reset-two-step"`) != 2 {
		t.Errorf("the audit trail, error %v:\n%s", err, lines)
	}
	if row := query(t, database, "SELECT count(*) FROM recovery_codes"); row[0] != 0 {
		t.Errorf("%d recovery codes are left", row[0])
	}
	link, _ = command(0, "users link ada@example.com")
	p := start(t, filepath.Dir(database), "serve", "--database", database, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	_, admin := p.stderr.addresses(t, `"listening"`)
	_, path, _ := strings.Cut(strings.TrimSpace(link), "http://localhost:9090")
	if page := get(t, admin+path); !strings.Contains(page, "Choose a password") || !strings.Contains(page, "ada@example.com") {
		t.Errorf("the page of the link:\n%s", page)
	}
}
