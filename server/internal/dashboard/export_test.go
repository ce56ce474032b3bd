package dashboard

import "github.com/carecycle/provider-api/server/internal/account"

// Route is a line of the table of routes.
type Route struct {
	Pattern  string
	Anyone   bool
	Operator bool
	Role     account.Role // in the organization of the path, "" if there is none
}

// Routes returns the table of routes.
func Routes() (all []Route) {
	for _, r := range routes {
		all = append(all, Route{r.pattern, r.guard == anyone, r.guard == operator, r.guard.role()})
	}
	return all
}

// The limits of a session.
const (
	SessionLifetime = sessionLifetime
	SessionIdle     = sessionIdle
	PendingLifetime = pendingLifetime
)

// FormatAge returns how long ago something was.
var FormatAge = formatAge
