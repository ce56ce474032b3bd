package storetest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/google/uuid"
)

func testUsers(t *testing.T, s *suite) {
	if has, err := s.HasUsers(t.Context()); err != nil || has {
		t.Errorf("a new store has users: %v, %v", has, err)
	}
	t.Run("a user is found by ID and email address, with the memberships", func(t *testing.T) { testUser(t, s) })
	t.Run("an email address has one user", func(t *testing.T) { testEmailTaken(t, s) })
	t.Run("a list is in the order of the addresses, of all or of members", func(t *testing.T) { testUserList(t, s) })
	t.Run("a role can be given, changed and taken", func(t *testing.T) { testRoles(t, s) })
	t.Run("a link works once, and for a time", func(t *testing.T) { testLinks(t, s) })
	t.Run("an invitation is accepted once, by one user", func(t *testing.T) { testInvitations(t, s) })
	t.Run("a disabled user has no session and no link", func(t *testing.T) { testDisabled(t, s) })
	t.Run("attempts are counted in windows", func(t *testing.T) { testAttempts(t, s) })
	t.Run("a session is kept until it expires", func(t *testing.T) { testSessions(t, s) })
	t.Run("a new password ends the other sessions", func(t *testing.T) { testNewPassword(t, s) })
	t.Run("a user is linked to one identity at a time", func(t *testing.T) { testSubject(t, s) })
	t.Run("two-step sign-in is on from the first code until it is turned off", func(t *testing.T) { testTwoStep(t, s) })
	t.Run("a code is used once", func(t *testing.T) { testCodes(t, s) })
	t.Run("what is unknown is not found", func(t *testing.T) {
		for name, err := range map[string]error{
			"SetRole": s.SetRole(t.Context(), "usr_x", 1, account.Viewer), "SetDisabled": s.SetDisabled(t.Context(), "usr_x", true),
			"SetPassword": s.SetPassword(t.Context(), "usr_x", "hash", ""), "SaveLink": s.SaveLink(t.Context(), account.HashOf("x"), "usr_x", time.Hour),
			"SetSubject": s.SetSubject(t.Context(), "usr_x", "", "x"), "SetTOTP": s.SetTOTP(t.Context(), "usr_x", account.TOTP{Secret: "x"}, 1, nil, ""), "RemoveTOTP": s.RemoveTOTP(t.Context(), "usr_x", ""),
		} {
			if !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%s: error %v, want %v", name, err, account.ErrNotFound)
			}
		}
		if _, err := s.UserByID(t.Context(), "usr_x"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("UserByID: error %v", err)
		}
	})
}

// invite creates a user, and returns a link's token with it.
func (s *suite) invite(t *testing.T, u account.User) (string, account.User) {
	t.Helper()
	if u.Email == "" {
		u.Email = uuid.NewString() + "@example.com"
	}
	token, u, err := account.Invite(t.Context(), s, u)
	if err != nil {
		t.Fatal(err)
	}
	return token, u
}

func (s *suite) user(t *testing.T, id string) account.User {
	t.Helper()
	u, err := s.UserByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func testUser(t *testing.T, s *suite) {
	one, two := s.tenant(t), s.tenant(t)
	memberships := []account.Membership{{Organization: one.number, OrganizationName: one.name, Role: account.Owner}, {Organization: two.number, OrganizationName: two.name, Role: account.Viewer}}
	_, want := s.invite(t, account.User{Email: " Ada@Example.COM ", Operator: true, Memberships: memberships})
	want.CreatedAt = s.clock.Now().Truncate(time.Millisecond)
	equal(t, "address", want.Email, "ada@example.com")
	equal(t, "user by ID", s.user(t, want.ID), want)
	byEmail, err := account.FindByEmail(t.Context(), s, "ADA@example.com")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "user by email", byEmail, want)
	if err := s.SuspendOrganization(t.Context(), two.number, true); err != nil {
		t.Fatal(err)
	}
	want.Memberships[1].Suspended = true
	equal(t, "user of a suspended organization", s.user(t, want.ID), want)
	s.clock.Move(time.Minute)
	if err := s.RecordSignIn(t.Context(), want.ID); err != nil {
		t.Fatal(err)
	}
	want.SignedInAt = s.clock.Now().Truncate(time.Millisecond)
	equal(t, "user who has signed in", s.user(t, want.ID), want)
	if has, err := s.HasUsers(t.Context()); err != nil || !has {
		t.Errorf("the store has users: %v, %v", has, err)
	}
}

func testEmailTaken(t *testing.T, s *suite) {
	_, first := s.invite(t, account.User{})
	org := s.tenant(t)
	_, _, err := account.Invite(t.Context(), s, account.User{Email: first.Email, Operator: true, Memberships: []account.Membership{{Organization: org.number, Role: account.Owner}}})
	if !errors.Is(err, account.ErrEmailTaken) {
		t.Errorf("error %v, want %v", err, account.ErrEmailTaken)
	}
	if u := s.user(t, first.ID); u.Operator || len(u.Memberships) > 0 {
		t.Errorf("the first user has become %+v", u)
	}
}

func testUserList(t *testing.T, s *suite) {
	org := s.tenant(t)
	var want []string
	for _, address := range []string{"b@list.example", "a@list.example", "é@list.example", "a_b@list.example"} {
		s.invite(t, account.User{Email: address, Memberships: []account.Membership{{Organization: org.number, Role: account.Viewer}}})
	}
	want = []string{"a@list.example", "a_b@list.example", "b@list.example", "é@list.example"}
	for _, organization := range []int64{0, org.number} {
		var got []string
		for after := ""; ; {
			page, err := s.ListUsers(t.Context(), organization, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page {
				after = u.Email
				if len(u.Memberships) == 1 && u.Memberships[0].Organization == org.number {
					got = append(got, u.Email)
				}
			}
			if len(page) < 3 {
				break
			}
		}
		equal(t, "list", got, want)
	}
}

func testRoles(t *testing.T, s *suite) {
	org := s.tenant(t)
	_, u := s.invite(t, account.User{})
	for _, role := range []account.Role{account.Viewer, account.Owner, "", account.Developer} {
		if err := s.SetRole(t.Context(), u.ID, org.number, role); err != nil {
			t.Fatal(err)
		}
		u = s.user(t, u.ID)
		equal(t, "role", u.Role(org.number), role)
	}
	if elsewhere := u.Role(org.number + 1); elsewhere != "" {
		t.Errorf("in another organization the user is %q", elsewhere)
	}
}

func testLinks(t *testing.T, s *suite) {
	token, u := s.invite(t, account.User{})
	old := token
	token, err := account.NewLink(t.Context(), s, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for what, wrong := range map[string]string{"the replaced one": old, "an unknown one": "x"} {
		if _, err := s.UserByLink(t.Context(), account.HashOf(wrong)); !errors.Is(err, account.ErrInvalidLink) {
			t.Errorf("%s: error %v, want %v", what, err, account.ErrInvalidLink)
		}
	}
	if found, err := s.UserByLink(t.Context(), account.HashOf(token)); err != nil || found.ID != u.ID {
		t.Errorf("the link is %q's, want %q's: %v", found.ID, u.ID, err)
	}
	var used atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			switch found, err := s.UseLink(t.Context(), account.HashOf(token), "hash"); {
			case err == nil && found.ID == u.ID && found.PasswordHash == "hash":
				used.Add(1)
			case !errors.Is(err, account.ErrInvalidLink):
				t.Errorf("user %+v, error %v", found, err)
			}
		})
	}
	all.Wait()
	equal(t, "successful uses", used.Load(), int32(1))
	equal(t, "password", s.user(t, u.ID).PasswordHash, "hash")

	if token, err = account.NewLink(t.Context(), s, u.ID); err != nil {
		t.Fatal(err)
	}
	s.clock.Move(account.LinkLifetime)
	if _, err := s.UseLink(t.Context(), account.HashOf(token), "late"); !errors.Is(err, account.ErrInvalidLink) {
		t.Errorf("a link that has expired: error %v", err)
	}
}

func testDisabled(t *testing.T, s *suite) {
	token, u := s.invite(t, account.User{})
	s.createSession(t, account.Session{Key: "disabled", UserID: u.ID, ExpiresAt: s.clock.Now().Add(time.Hour)})
	if err := s.SetDisabled(t.Context(), u.ID, true); err != nil {
		t.Fatal(err)
	}
	if !s.user(t, u.ID).Disabled {
		t.Error("the user is not disabled")
	}
	if _, found, err := s.FindSession(t.Context(), "disabled"); err != nil || found {
		t.Errorf("the session is there: %v, %v", found, err)
	}
	if _, err := s.UseLink(t.Context(), account.HashOf(token), "hash"); !errors.Is(err, account.ErrInvalidLink) {
		t.Errorf("the link: error %v", err)
	}
	if err := s.SetDisabled(t.Context(), u.ID, false); err != nil || s.user(t, u.ID).Disabled {
		t.Errorf("the user cannot be enabled: %v", err)
	}
}

func testAttempts(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	count := func(want int) {
		t.Helper()
		got, err := s.CountAttempt(t.Context(), u.ID, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "attempts", got, want)
	}
	count(1)
	s.clock.Move(59 * time.Second)
	count(2)
	s.clock.Move(time.Second)
	count(1)
	if err := s.SetPassword(t.Context(), u.ID, "hash", ""); err != nil {
		t.Fatal(err)
	}
	count(2)
	if err := s.RecordSignIn(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	count(1)
	token, err := account.NewLink(t.Context(), s, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseLink(t.Context(), account.HashOf(token), "hash"); err != nil {
		t.Fatal(err)
	}
	count(1)
}

func (s *suite) createSession(t *testing.T, session account.Session) {
	t.Helper()
	if session.Data == nil {
		session.Data = []byte{}
	}
	if err := s.CreateSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
}

func testSessions(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	_, other := s.invite(t, account.User{})
	now := s.clock.Now().Truncate(time.Millisecond)
	first := account.Session{Key: "first", UserID: u.ID, Data: []byte("data\x00"), CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	s.createSession(t, first)
	got, found, err := s.FindSession(t.Context(), "first")
	if err != nil || !found {
		t.Fatalf("found: %v, %v", found, err)
	}
	equal(t, "session", got, first)

	s.clock.Move(time.Minute)
	second := account.Session{Key: "second", UserID: u.ID, Data: []byte{}, CreatedAt: now.Add(time.Minute), SeenAt: now.Add(time.Minute), ExpiresAt: now.Add(3 * time.Hour)}
	s.createSession(t, second)
	s.createSession(t, account.Session{Key: "other's", UserID: other.ID, ExpiresAt: now.Add(time.Hour)})
	s.clock.Move(time.Minute)
	first.Data, first.SeenAt, first.ExpiresAt = []byte("new"), now.Add(2*time.Minute), now.Add(2*time.Hour)
	if err := s.UpdateSession(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	list := func() []account.Session {
		t.Helper()
		sessions, err := s.ListSessions(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return sessions
	}
	equal(t, "sessions", list(), []account.Session{first, second})

	if err := s.RemoveSession(t.Context(), other.ID, "second"); err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions after another user's attempt to remove one", list(), []account.Session{first, second})
	if err := s.RemoveSession(t.Context(), u.ID, "second"); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateSession(t.Context(), second); err != nil {
		t.Errorf("a removed session that is seen: %v", err)
	}
	equal(t, "sessions without the removed one", list(), []account.Session{first})
	s.clock.Move(2 * time.Hour)
	if _, found, err := s.FindSession(t.Context(), "first"); err != nil || found {
		t.Errorf("an expired session is found: %v, %v", found, err)
	}
	equal(t, "sessions that have not expired", len(list()), 0)
}

func testNewPassword(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	for _, key := range []string{"kept", "ended"} {
		s.createSession(t, account.Session{Key: key, UserID: u.ID, ExpiresAt: s.clock.Now().Add(time.Hour)})
	}
	if err := s.SetPassword(t.Context(), u.ID, "new", "kept"); err != nil {
		t.Fatal(err)
	}
	sessions, err := s.ListSessions(t.Context(), u.ID)
	if err != nil || len(sessions) != 1 || sessions[0].Key != "kept" {
		t.Errorf("sessions %v, %v", sessions, err)
	}
	equal(t, "password", s.user(t, u.ID).PasswordHash, "new")
}

func testSubject(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	_, other := s.invite(t, account.User{})
	for _, step := range []struct {
		from, to, want string
		err            error
	}{
		{"", "issuer 1", "issuer 1", nil},
		{"", "issuer 1", "issuer 1", nil},
		{"", "issuer 2", "issuer 1", account.ErrNotFound},
		{"issuer 1", "issuer 2", "issuer 2", nil},
		{"issuer 2", "", "", nil},
		{"", "issuer 3", "issuer 3", nil},
	} {
		if err := s.SetSubject(t.Context(), u.ID, step.from, step.to); !errors.Is(err, step.err) {
			t.Errorf("from %q to %q: error %v, want %v", step.from, step.to, err, step.err)
		}
		equal(t, "subject", s.user(t, u.ID).Subject, step.want)
	}
	equal(t, "subject of another user", s.user(t, other.ID).Subject, "")
}

func testTwoStep(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	_, other := s.invite(t, account.User{})
	find := func(want account.TOTP) {
		t.Helper()
		got, err := s.FindTOTP(t.Context(), u.ID)
		if want.Secret == "" && !errors.Is(err, account.ErrNotFound) || want.Secret != "" && err != nil {
			t.Errorf("error %v", err)
		}
		equal(t, "secret and recovery codes", got, want)
		equal(t, "the user has two-step sign-in", s.user(t, u.ID).TwoStep, want.Secret != "")
	}
	sessions := func(want ...string) {
		t.Helper()
		got := []string{}
		found, err := s.ListSessions(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, session := range found {
			got = append(got, session.Key)
		}
		equal(t, "sessions", got, want)
	}
	first := []account.Hash{account.HashOf("one"), account.HashOf("two")}
	for range 2 { // and again after it was turned off
		find(account.TOTP{})
		for _, key := range []string{"kept " + u.ID, "ended " + u.ID} {
			s.createSession(t, account.Session{Key: key, UserID: u.ID, ExpiresAt: s.clock.Now().Add(time.Hour)})
		}
		if err := s.SetTOTP(t.Context(), u.ID, account.TOTP{Secret: "SECRET"}, 7, first, "kept "+u.ID); err != nil {
			t.Fatal(err)
		}
		find(account.TOTP{Secret: "SECRET", RecoveryCodes: 2})
		sessions("kept " + u.ID)
		if err := s.SetTOTP(t.Context(), u.ID, account.TOTP{Secret: "ANOTHER"}, 1, []account.Hash{account.HashOf("three")}, ""); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("a second time: error %v, want %v", err, account.ErrNotFound)
		}
		find(account.TOTP{Secret: "SECRET", RecoveryCodes: 2})
		sessions("kept " + u.ID)
		if err := s.UseStep(t.Context(), u.ID, 7); !errors.Is(err, account.ErrCode) {
			t.Errorf("the code that turned it on, again: error %v, want %v", err, account.ErrCode)
		}
		equal(t, "another user has it", s.user(t, other.ID).TwoStep, false)
		if err := s.RemoveTOTP(t.Context(), u.ID, ""); err != nil {
			t.Fatal(err)
		}
		sessions([]string{}...)
		if err := s.UseRecoveryCode(t.Context(), u.ID, first[0]); !errors.Is(err, account.ErrCode) {
			t.Errorf("a recovery code of before: error %v, want %v", err, account.ErrCode)
		}
	}
}

func testCodes(t *testing.T, s *suite) {
	_, u := s.invite(t, account.User{})
	_, other := s.invite(t, account.User{})
	for _, id := range []string{u.ID, other.ID} {
		if err := s.SetTOTP(t.Context(), id, account.TOTP{Secret: "SECRET"}, 100, []account.Hash{account.HashOf("code of " + id), account.HashOf("same")}, ""); err != nil {
			t.Fatal(err)
		}
	}
	once := func(what string, use func() error) {
		t.Helper()
		var used atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				switch err := use(); {
				case err == nil:
					used.Add(1)
				case !errors.Is(err, account.ErrCode):
					t.Errorf("%s: error %v", what, err)
				}
			})
		}
		all.Wait()
		equal(t, "successful uses of "+what, used.Load(), int32(1))
	}
	once("a step", func() error { return s.UseStep(t.Context(), u.ID, 102) })
	once("a recovery code", func() error { return s.UseRecoveryCode(t.Context(), u.ID, account.HashOf("same")) })
	for what, err := range map[string]error{
		"a step before one that was used": s.UseStep(t.Context(), u.ID, 101),
		"a recovery code of another user": s.UseRecoveryCode(t.Context(), u.ID, account.HashOf("code of "+other.ID)),
	} {
		if !errors.Is(err, account.ErrCode) {
			t.Errorf("%s: error %v, want %v", what, err, account.ErrCode)
		}
	}
	if err := errors.Join(s.UseStep(t.Context(), u.ID, 103), s.UseStep(t.Context(), other.ID, 101), s.UseRecoveryCode(t.Context(), other.ID, account.HashOf("same"))); err != nil {
		t.Error(err)
	}
}

func testInvitations(t *testing.T, s *suite) {
	org := s.tenant(t)
	offer := func(email string, role account.Role) string {
		t.Helper()
		token, _, err := account.Offer(t.Context(), s, account.Invitation{Organization: org.number, Email: email, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	email := uuid.NewString() + "@example.com"
	replaced := offer(email, account.Viewer)
	token := offer(strings.ToUpper(email), account.Developer)
	cancelled := offer("cancelled@example.com", account.Owner)
	if err := s.RemoveInvitation(t.Context(), org.number, "cancelled@example.com"); err != nil {
		t.Fatal(err)
	}
	list, err := s.ListInvitations(t.Context(), org.number)
	if err != nil {
		t.Fatal(err)
	}
	want := account.Invitation{Organization: org.number, OrganizationName: org.name, Email: email, Role: account.Developer, ExpiresAt: s.clock.Now().Add(account.LinkLifetime).Truncate(time.Millisecond)}
	equal(t, "invitations", list, []account.Invitation{want})
	for what, wrong := range map[string]string{"a replaced one": replaced, "a cancelled one": cancelled, "an unknown one": "x"} {
		if _, err := account.Accept(t.Context(), s, wrong, "a password that is long"); !errors.Is(err, account.ErrInvalidLink) {
			t.Errorf("%s: error %v, want %v", what, err, account.ErrInvalidLink)
		}
	}
	accept := func(token string, u account.User) error {
		return s.AcceptInvitation(t.Context(), account.HashOf(token), u)
	}
	other := account.User{ID: "usr_" + uuid.NewString(), Email: "someone-else@example.com"}
	if err := accept(token, other); err == nil {
		t.Error("another address accepts the invitation")
	}
	var accepted atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			u := account.User{ID: "usr_" + uuid.NewString(), Email: email, PasswordHash: "hash"}
			switch err := accept(token, u); {
			case err == nil:
				accepted.Add(1)
			case !errors.Is(err, account.ErrInvalidLink) && !errors.Is(err, account.ErrEmailTaken):
				t.Errorf("error %v", err)
			}
		})
	}
	all.Wait()
	equal(t, "successful calls", accepted.Load(), int32(1))
	u, err := s.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "role", u.Role(org.number), account.Developer)

	token = offer(email, account.Owner)
	if err := accept(token, account.User{ID: "usr_" + uuid.NewString(), Email: email}); !errors.Is(err, account.ErrEmailTaken) {
		t.Errorf("another user of the address: error %v, want %v", err, account.ErrEmailTaken)
	}
	if err := accept(token, u); err != nil {
		t.Errorf("a user accepts: %v", err)
	}
	u = s.user(t, u.ID)
	equal(t, "role", u.Role(org.number), account.Owner)
	equal(t, "password", u.PasswordHash, "hash")

	token = offer(email, account.Viewer)
	s.clock.Move(account.LinkLifetime)
	if err := accept(token, u); !errors.Is(err, account.ErrInvalidLink) {
		t.Errorf("an invitation that has expired: error %v, want %v", err, account.ErrInvalidLink)
	}
}
