package ndjson

import (
	"bufio"
	"context"
	"io"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/wire"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Export writes an organization's records, a line each, and a line for each customer without any. To import them gives
// every property of every record the value that it has now.
//
// Errors: the store's, and w's.
func Export(ctx context.Context, store provider.Store, organization string, w io.Writer) error {
	lines := bufio.NewWriterSize(w, 64<<10)
	err := store.Export(ctx, organization, func(customer uuid.UUID, record *provider.Provider) error {
		var line any = customerLine{customer}
		if record != nil {
			line = wire.ExportLine{Provider: wire.Provider(record)}
		}
		text, err := json.Marshal(line)
		if err == nil {
			_, err = lines.Write(append(text, '\n'))
		}
		return err
	})
	if err != nil {
		return err
	}
	return lines.Flush()
}

type customerLine struct {
	CustomerID uuid.UUID `json:"customerId"`
}
