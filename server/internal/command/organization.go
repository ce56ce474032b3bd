package command

import (
	"context"
	"fmt"
)

// ensureOrganization returns the number of an organization. It reports one that it creates, as the name may be misspelled.
func ensureOrganization(ctx context.Context, s store, organization name, io streams) (int64, error) {
	number, created, err := s.EnsureOrganization(ctx, string(organization))
	if created {
		fmt.Fprintf(io.err, "server: created the organization %q, as there was none of that name\n", organization)
	}
	return number, err
}
