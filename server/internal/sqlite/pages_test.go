package sqlite

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/usage"
)

// While as many lists as may run at once do, others wait, but not forever. Reads of records and keys do not.
func TestPagesWait(t *testing.T) {
	t.Parallel()
	s, ids := filled(t, 1, Options{})
	for range maxPages {
		s.pages <- struct{}{}
	}
	list := provider.List{Organization: 1, CustomerID: ids[0], Limit: 1}
	if _, err := s.Get(t.Context(), 1, ids[0], ids[0]); err != nil {
		t.Errorf("a record: %v", err)
	}
	if _, err := s.KeyByHash(t.Context(), apikey.Hash{}); err != apikey.ErrNotFound {
		t.Errorf("a key: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, read := range map[string]func(context.Context) error{
		"a list":    func(ctx context.Context) error { _, err := s.List(ctx, list); return err },
		"a history": func(ctx context.Context) error { _, err := s.History(ctx, 1, ids[0], ids[0], 0, 1); return err },
		"an export": func(ctx context.Context) error { _, err := s.ListAll(ctx, 1, nil, 1); return err },
		"activity": func(ctx context.Context) error {
			_, err := s.Activity(ctx, provider.ActivityQuery{Limit: 1})
			return err
		},
		"usage": func(ctx context.Context) error { return s.Usage(ctx, 1, usage.Hour, time.Now(), func(usage.Row) {}) },
	} {
		if err := read(gone); provider.CodeOf(err) != provider.CodeUnavailable {
			t.Errorf("%s, after its caller left: %v", name, err)
		}
		waited := make(chan error)
		go func() { waited <- read(t.Context()) }()
		<-s.pages // one ends
		if err := <-waited; err != nil {
			t.Errorf("%s, when another one has ended: %v", name, err)
		}
		s.pages <- struct{}{}
	}
	synctest.Test(t, func(t *testing.T) {
		full := &Store{pages: make(chan struct{})} // in the bubble, where waiting takes no time
		if err := full.readPage(t.Context(), nil); provider.CodeOf(err) != provider.CodeUnavailable {
			t.Errorf("a list that waits: %v, want one of code %s", err, provider.CodeUnavailable)
		}
	})
}

// A caller who leaves while a snapshot is read leaves no transaction behind: the connection would see that state for ever.
func TestSnapshotEnds(t *testing.T) {
	t.Parallel()
	s, _ := filled(t, 1, Options{})
	ctx, leave := context.WithCancel(t.Context())
	c, err := s.readers.Take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.readers.Put(c)
	err = inSnapshot(c, func() error {
		leave()
		return execute(c, "SELECT 1 FROM organizations")
	})
	if err == nil || !c.AutocommitEnabled() {
		t.Errorf("error %v, transaction ended: %v; want an error, and its end", err, c.AutocommitEnabled())
	}
}
