package dashboard

import (
	"errors"
	"strings"

	"github.com/carecycle/provider-api/server/internal/account"
	"github.com/carecycle/provider-api/server/internal/apikey"
)

// who returns the name to show for the ID of a key or a user in the history. It caches what it finds in names. On a page of an organization
// it names only its members and keys, except to operators.
func (r *request) who(names map[string]string, id *string) (string, error) {
	switch {
	case id == nil:
		return "the operator", nil
	case names[*id] != "":
		return names[*id], nil
	}
	name, err := r.nameOf(*id)
	names[*id] = name
	return name, err
}

func (r *request) nameOf(id string) (string, error) {
	if strings.HasPrefix(id, account.IDPrefix) {
		u, err := r.dashboard.Store.UserByID(r.Context(), id)
		switch {
		case errors.Is(err, account.ErrNotFound):
			return id, nil
		case err != nil:
			return "", err
		case r.user.Operator:
			return u.Email, nil
		case u.Operator:
			return "the operator", nil
		case u.Role(r.organization.Organization) == "":
			return "a former member", nil
		}
		return u.Email, nil
	}
	key, err := r.dashboard.Store.KeyByID(r.Context(), id)
	switch {
	case errors.Is(err, apikey.ErrNotFound), err == nil && r.organization.Role != "" && key.Organization != r.organization.Organization:
		return "the key " + id, nil
	case err != nil:
		return "", err
	}
	return "the key " + key.Name, nil
}
