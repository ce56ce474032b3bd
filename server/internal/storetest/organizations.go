package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carecycle/provider-api/server/internal/apikey"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

func testOrganization(t *testing.T, s *suite) {
	t.Run("a name has one number", func(t *testing.T) {
		numbers := map[int64]string{}
		for _, name := range []string{"Clinic", "clinic", "Clinic ", "Klinik “Süd” 😀", "'; DROP TABLE organizations"} {
			number, created, err := s.EnsureOrganization(t.Context(), name)
			again, createdAgain, errAgain := s.EnsureOrganization(t.Context(), name)
			if err := errors.Join(err, errAgain); err != nil {
				t.Fatal(err)
			}
			if !created || createdAgain {
				t.Errorf("%q is created: %v, and then %v", name, created, createdAgain)
			}
			equal(t, "number of "+name, again, number)
			if other, taken := numbers[number]; taken || number == 0 {
				t.Errorf("%q has the number %d, as %q does", name, number, other)
			}
			numbers[number] = name
		}
	})

	t.Run("a name is found, and created, in its normal form", func(t *testing.T) {
		number, name, created, err := provider.EnsureOrganization(t.Context(), s, "Süd \u00a0  Praxis", false)
		if err != nil || !created || name != "Süd Praxis" {
			t.Errorf("created %v: %q, %v", created, name, err)
		}
		for _, name := range []string{"Süd Praxis", "Süd Praxis", "Su\u0308d   Praxis"} {
			again, found, created, err := provider.EnsureOrganization(t.Context(), s, name, false)
			if again != number || found != "Süd Praxis" || created || err != nil {
				t.Errorf("%q: number %d, %q, created %v, %v; want %d", name, again, found, created, err, number)
			}
		}
	})

	t.Run("a name that an older version left is found as it is", func(t *testing.T) {
		const name = "two  blanks"
		number, _, err := s.EnsureOrganization(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if found, _, err := provider.FindOrganization(t.Context(), s, name); found != number || err != nil {
			t.Errorf("number %d, %v; want %d", found, err, number)
		}
		if _, _, err := provider.FindOrganization(t.Context(), s, "two blanks"); provider.CodeOf(err) != provider.CodeNoOrganization {
			t.Errorf("another name: error %v", err)
		}
	})

	t.Run("a name that looks like another is not created by mistake", func(t *testing.T) {
		if _, _, err := s.EnsureOrganization(t.Context(), "Paypal Health 10"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"paypal health 10", "PAYPAL HEALTH 10", "PaypalHealth10", "Pаypal Health 10", "Paypal\u200b Health 10", "Ｐaypal Health 10",
			"PaypaI Health 10", "Paypal Health 1O", "Paypal Health l0", "𝐏aypal Health 10",
		} {
			var confusable *provider.ConfusableError
			if _, _, _, err := provider.EnsureOrganization(t.Context(), s, name, false); !errors.As(err, &confusable) || confusable.Existing != "Paypal Health 10" {
				t.Errorf("%q: error %v, want a ConfusableError", name, err)
			}
		}
		for _, name := range []string{"Paypal Health 11", "Paypal Health", "Payphal Health 10"} {
			if _, _, created, err := provider.EnsureOrganization(t.Context(), s, name, false); !created || err != nil {
				t.Errorf("%q: created %v, %v", name, created, err)
			}
		}
		if _, _, created, err := provider.EnsureOrganization(t.Context(), s, "paypal health 10", true); !created || err != nil {
			t.Errorf("a new one: created %v, %v", created, err)
		}
	})

	t.Run("it gets another name", func(t *testing.T) {
		one, other := s.tenant(t), s.tenant(t)
		for _, taken := range []string{other.name, strings.ToUpper(other.name)} {
			if _, err := provider.RenameOrganization(t.Context(), s, one.number, taken); !errors.As(err, new(*provider.ConfusableError)) {
				t.Errorf("%q: error %v, want a ConfusableError", taken, err)
			}
		}
		if err := s.RenameOrganization(t.Context(), one.number, other.name); !errors.Is(err, provider.ErrNameTaken) {
			t.Errorf("error %v, want %v", err, provider.ErrNameTaken)
		}
		for from, to := range map[*tenant]string{one: strings.ToUpper(one.name), other: " another   " + other.name} {
			want := strings.Join(strings.Fields(to), " ")
			if renamed, err := provider.RenameOrganization(t.Context(), s, from.number, to); renamed != want || err != nil {
				t.Errorf("%q: renamed to %q, %v", from.name, renamed, err)
			}
			if number, err := s.FindOrganization(t.Context(), want); number == 0 || err != nil {
				t.Errorf("%q: number %d, %v", want, number, err)
			}
			if number, err := s.FindOrganization(t.Context(), from.name); number != 0 || err != nil {
				t.Errorf("%q: number %d, %v", from.name, number, err)
			}
		}
	})

	t.Run("it is suspended and resumed, as its keys say", func(t *testing.T) {
		_, key := s.createKey(t, apikey.Key{})
		_, other := s.createKey(t, apikey.Key{})
		for _, suspended := range []bool{true, true, false} {
			if err := s.SuspendOrganization(t.Context(), key.Organization, suspended); err != nil {
				t.Fatal(err)
			}
			key.Suspended = suspended
			equal(t, "key", s.key(t, key.ID), key)
			equal(t, "another key", s.key(t, other.ID), other)
			all, err := s.ListOrganizations(t.Context())
			if want := (provider.Organization{Number: key.Organization, Name: key.OrganizationName, Suspended: suspended}); err != nil || !slices.Contains(all, want) {
				t.Errorf("no %+v in %+v, %v", want, all, err)
			}
		}
	})

	t.Run("a name has one number also if many ask at once", func(t *testing.T) {
		name := uuid.NewString()
		numbers := make([]int64, 16)
		var all sync.WaitGroup
		for i := range numbers {
			all.Go(func() {
				var err error
				if numbers[i], _, err = s.EnsureOrganization(t.Context(), name); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, number := range numbers {
			equal(t, "number", number, numbers[0])
		}
	})
}
