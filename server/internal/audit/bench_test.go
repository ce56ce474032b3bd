package audit

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"
)

// BenchmarkRecord records reads of 64 callers.
func BenchmarkRecord(b *testing.B) {
	trail, err := Open(filepath.Join(b.TempDir(), "audit.log"), options())
	if err != nil {
		b.Fatal(err)
	}
	defer trail.Close()
	customer := uuid.New()
	e := Entry{Key: "key_9SnLQYe52DbH", Organization: 1, OrganizationName: "acme", Operation: "getCustomerProvider", Customer: &customer,
		Records: []uuid.UUID{uuid.New()}, Count: 1, Request: uuid.NewString(), Status: 200, Client: "127.0.0.1"}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := trail.Record(b.Context(), e); err != nil {
				b.Error(err)
			}
		}
	})
}
