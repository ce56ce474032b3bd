package transfer

import (
	"bufio"
	"context"
	"io"

	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/google/uuid"
)

// Export writes the records of the organization of that number, one on each line, and a line for each customer without any. Importing them
// gives every property of every record the value that it has now.
//
// Records are read in pieces: see [provider.Export].
//
// Errors: the store's, and w's.
func Export(ctx context.Context, store provider.Store, organization int64, w io.Writer) error {
	lines := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	err := provider.Export(ctx, store, organization, func(customer uuid.UUID, record *provider.Provider) (err error) {
		if record == nil {
			line = append(appendCustomer(line[:0], customer), '}')
		} else if line, err = appendRecord(line[:0], record); err != nil {
			return err
		}
		_, err = lines.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return lines.Flush()
}
