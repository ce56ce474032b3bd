package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/api"
)

// How long a person stays signed in.
const (
	sessionLifetime = 12 * time.Hour
	sessionIdle     = time.Hour       // without a request
	pendingLifetime = 5 * time.Minute // between the password and the code
)

// The values of a session.
const (
	sessionUser    = "user"    // the user's ID
	sessionBrowser = "browser" // what it calls itself
	sessionPending = "pending" // instead of user: the ID of a user who has not entered the code yet
	sessionSubject = "subject" // with pending: the identity to link the user to after the code, or ""
	sessionSecret  = "secret"  // for two-step sign-in, until a code proves that an app has it
)

func (d *Dashboard) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Lifetime, m.IdleTimeout, m.HashTokenInStore = sessionLifetime, sessionIdle, true
	m.Store, m.Codec = sessionStore{d.Store}, jsonCodec{}
	m.Cookie.Name, m.Cookie.Path, m.Cookie.SameSite = "carecycle_session", "/", http.SameSiteLaxMode
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		(&request{Request: r, w: w, dashboard: d}).fail(err)
	}
	return m
}

// withSession loads the session of a request, and saves it.
func (d *Dashboard) withSession(secure bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		manager := *d.sessions
		manager.Cookie.Secure = secure
		ctx := context.WithValue(r.Context(), loadedKey{}, new(loaded))
		manager.LoadAndSave(next).ServeHTTP(w, r.WithContext(ctx))
	})
}

type loadedKey struct{}

// loaded is the session of a request.
type loaded struct{ key string }

func loadedSession(ctx context.Context) *loaded { return ctx.Value(loadedKey{}).(*loaded) }

// sessionStore is the store of the session manager. Its keys are hashes of tokens.
type sessionStore struct{ account.Store }

var _ scs.CtxStore = sessionStore{}

// FindCtx implements [scs.CtxStore].
func (s sessionStore) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	session, found, err := s.FindSession(ctx, key)
	if found {
		loadedSession(ctx).key = key
	}
	return session.Data, found, err
}

// CommitCtx implements [scs.CtxStore]. The session of the request is updated only, as it may have been removed in the meantime.
func (s sessionStore) CommitCtx(ctx context.Context, key string, data []byte, expiry time.Time) error {
	_, values, err := jsonCodec{}.Decode(data)
	if err != nil {
		return err
	}
	user, _ := cmp.Or(values[sessionUser], values[sessionPending]).(string)
	session := account.Session{Key: key, UserID: user, Data: data, ExpiresAt: expiry}
	if loadedSession(ctx).key == key {
		return s.UpdateSession(ctx, session)
	}
	return s.CreateSession(ctx, session)
}

// DeleteCtx implements [scs.CtxStore].
func (s sessionStore) DeleteCtx(ctx context.Context, key string) error {
	session, found, err := s.FindSession(ctx, key)
	if err != nil || !found {
		return err
	}
	return s.RemoveSession(ctx, session.UserID, key)
}

var errNoContext = errors.New("a session needs a context")

// Find, Commit and Delete complete [scs.Store]. The manager calls the methods with a context instead.
func (sessionStore) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (sessionStore) Commit(string, []byte, time.Time) error { return errNoContext }
func (sessionStore) Delete(string) error                    { return errNoContext }

// jsonCodec is the form of a session's data, whose values are texts.
type jsonCodec struct{}

type sessionData struct {
	Deadline time.Time         `json:"deadline"`
	Values   map[string]string `json:"values"`
}

// Encode implements [scs.Codec].
func (jsonCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	data := sessionData{deadline, map[string]string{}}
	for name, value := range values {
		data.Values[name], _ = value.(string)
	}
	return json.Marshal(data)
}

// Decode implements [scs.Codec].
func (jsonCodec) Decode(text []byte) (time.Time, map[string]any, error) {
	var data sessionData
	if err := json.Unmarshal(text, &data); err != nil {
		return time.Time{}, nil, errors.New("the data of a session is damaged")
	}
	values := map[string]any{}
	for name, value := range data.Values {
		values[name] = value
	}
	return data.Deadline, values, nil
}

// begin signs a user in, in a session with a new token.
func (r *request) begin(u *account.User) error {
	if err := r.renew(sessionUser, u.ID); err != nil {
		return err
	}
	browser := []rune(r.UserAgent())
	r.dashboard.sessions.Put(r.Context(), sessionBrowser, string(browser[:min(len(browser), 200)]))
	api.Identify(r.Context(), r.caller(u, account.Membership{}))
	return nil
}

// renew begins a session with a new token and one value. The session of the request ends.
func (r *request) renew(name, value string) error {
	sessions := r.dashboard.sessions
	if err := sessions.RenewToken(r.Context()); err != nil {
		return err
	}
	if err := sessions.Clear(r.Context()); err != nil {
		return err
	}
	sessions.Put(r.Context(), name, value)
	return nil
}
