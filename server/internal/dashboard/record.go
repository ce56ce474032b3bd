package dashboard

import (
	"fmt"
	"time"

	"github.com/carecycle/provider-api/server/internal/api"
	"github.com/carecycle/provider-api/server/internal/audit"
	"github.com/carecycle/provider-api/server/internal/provider"
)

// auditRetry is the Retry-After while the audit trail cannot be written.
const auditRetry = 5 * time.Second

// record writes a line in the audit trail about what a person does, before it is done or shown. The API writes the lines of the requests
// that pages send to it.
func (r *request) record(operation string, e audit.Entry) error {
	trail := r.dashboard.API.Audit
	if trail == nil {
		return nil
	}
	e.Operation, e.Request, e.Client = operation, api.RequestID(r.Context()), r.dashboard.CallerIP(r.Request)
	if r.user != nil {
		e.Key = r.user.ID
	}
	e.Organization, e.OrganizationName = r.organization.Organization, r.organization.OrganizationName
	if err := trail.RecordDurably(r.Context(), e); err != nil {
		return fmt.Errorf("%w: %w", errUnrecorded, provider.Unavailable(auditRetry, err))
	}
	return nil
}
