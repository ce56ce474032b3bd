package storetest

import (
	"errors"
	"sync"
	"testing"

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

	t.Run("also if many ask at once", func(t *testing.T) {
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
