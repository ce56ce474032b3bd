package sqlite

import (
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/schema"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestPlans looks at how SQLite would run each statement of a request or a command. None may read a whole table, sort, or find rows
// by their organization alone, with or without statistics on the tables.
func TestPlans(t *testing.T) {
	t.Parallel()
	byType := property.Filter{Property: property.ProviderType, Value: property.Text("Hospital")}
	byActivity := property.Filter{Property: property.IsActive, Value: property.Boolean(true)}
	statements := map[string]string{
		"a customer":          selectCustomer,
		"a new customer":      insertCustomer,
		"a record":            selectProvider,
		"a changed record":    updateProvider,
		"changed filters":     updateFilters,
		"creations by key":    selectCreations,
		"a new creation":      insertCreation,
		"an expired creation": deleteCreation,
		"a list":              selectList(nil),
		"types of a customer": selectNextValue(property.ProviderType),
		"a list by no flag":   selectList([]property.Filter{byType, {Property: property.IsActive, Value: property.Null}}),
		"a list by both":      selectList([]property.Filter{byType, byActivity}),
		"a page of a history": selectEvents,
		"a place in it":       selectIndexed,
		"owners of an ID":     selectOwners,
		"versions":            selectVersions,
		"events to remove":    deleteEvents,
		"an event to clear":   clearEvent,
		"a new row":           selectLastRow,
		"the last event":      selectLast,
		"the numbers":         selectNumbers,
		"a new number":        insertNumber,
		"a part of a time":    selectPart,
		"times of a part":     savePartTimes,
		"activity":            selectActivity,
		"a closed customer":   selectClosed,
		"a customer to close": closeCustomer,
		"records to purge":    listExisting,
		"deleted to purge":    listDeleted,
		"customers to remove": deleteCustomers,
		"purged to remove":    deletePurged,
		"counts to remove":    deleteUsage,
		"a customer to open":  openCustomer,
		"creations to remove": deleteCreations,
		"any record":          selectAnyRecord,
		"count of a customer": countExisting,
		"count of deleted":    countDeleted,
		"count of all":        countOfAll,
		"count of customers":  countCustomers,
		"a new organization":  insertOrganization,
		"a key":               selectKeys + "WHERE hash = ?1",
		"a key by its ID":     selectKeys + "WHERE api_keys.id = ?1",
		"the keys":            listKeys,
		"keys of one tenant":  listKeysOf,
		"the new keys":        selectNewKeys,
		"a revoked key":       revokeKey,
		"a replaced key":      replaceKey,
		"one that is not":     unreplace,
		"a changed key":       updateKey,
		"an ended key":        deleteEnded,
		"a new name":          renameOrganization,
		"a suspension":        suspendOrganization,
		"all keys":            selectAllKeys,
		"estimates":           selectEstimates,
		"an export":           selectAll,
		"records to verify":   selectRecords,
		"their events":        selectEvent,
		"all events":          selectRows,
		"a user by ID":        userByID,
		"a user by email":     userByEmail,
		"a user by link":      userByLink,
		"the users":           listUsers,
		"members":             listMembers,
		"a user's codes":      findTOTP,
		"a new secret":        setTOTP,
		"a used code":         useStep,
		"a recovery code":     useRecoveryCode,
		"recovery codes":      removeRecoveryCodes,
		"memberships":         selectMemberships,
		"a session":           findSession,
		"a user's sessions":   listSessions,
		"expired sessions":    removeExpiredSessions,
		"a seen session":      updateSession,
		"an invitation":       findInvitation,
		"the customers":       listCustomers, "the customer of a record": customerOf,
		"invitations":       listInvitations,
		"added use of keys": addUsage, "use of keys": selectUsage, "old use of keys": removeUsage,
		"a cancelled invitation": removeInvitation,
		"records to copy":        selectLatest,
		"the event before":       selectPrevious,
		"an event to copy":       selectCopiedEvent,
	}
	// What a statement may do although it looks expensive.
	allowed := map[string][]string{
		"events to remove":    {"SCAN chain"},                                              // of one record
		"a page of a history": {"SCAN history"},                                            // from the latest event of one record back to the page
		"owners of an ID":     {"SEARCH organizations", "SCAN organizations"},              // the key of a record begins with the organization
		"records to copy":     {"SCAN providers USING INDEX sqlite_autoindex_providers_1"}, // all, in the order of their key
		"all keys":            {"SCAN api_keys USING INDEX api_keys_by_time"},              // in their order
		"the numbers":         {"SCAN property_names"},                                     // all, in their order
		"estimates":           {"SCAN provider_events"},                                    // its first row
		"any record":          {"SEARCH providers"},                                        // one row
		"customers to remove": {"SEARCH customers USING PRIMARY KEY (organization_id=?)"},  // a piece
		"purged to remove":    {"SEARCH purged_customers USING PRIMARY KEY (organization_id=?)"},
		"creations to remove": {"SEARCH idempotency_keys USING PRIMARY KEY (organization_id=?)"},
		"counts to remove":    {"SEARCH usage USING COVERING INDEX usage_by_organization"},
		"count of all":        {"SEARCH providers"}, // all of an organization
		"count of customers":  {"SEARCH customers"},
		"the last event":      {"SEARCH provider_events"},
		"an export":           {"SEARCH customers USING PRIMARY KEY (organization_id=?)"}, // all of an organization
	}
	for _, table := range schema.Tables {
		if table != schema.Events {
			statements["all "+table.Name] = table.OrderedRows()
			allowed["all "+table.Name] = []string{"SCAN " + table.Name} // but no sort
		}
	}
	allowed["members"] = []string{"SEARCH memberships USING", "USE TEMP B-TREE FOR ORDER BY"} // of one organization
	allowed["invitations"] = []string{"SEARCH invitations USING"}                             // of one organization
	// The index that a statement must use.
	index := map[string]string{
		"a list": "providers_by_customer", "records to purge": "providers_by_customer", "deleted to purge": "providers_deleted",
		"count of deleted": "providers_deleted",
		"a list by both":   "providers_by_filter", "a list by no flag": "providers_by_filter", "types of a customer": "providers_by_filter",
	}
	s, _ := filled(t, 100, Options{})
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			s.turn.Lock()
			err := sqlitex.ExecuteTransient(s.writer, "ANALYZE", nil)
			s.turn.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, statement := range statements {
			for _, step := range plan(t, s, statement) {
				expensive := strings.HasPrefix(step, "SCAN") && !strings.HasSuffix(step, "CONSTANT ROW") || strings.Contains(step, "TEMP B-TREE") || strings.Contains(step, "(organization_id=?)")
				for _, prefix := range allowed[name] {
					expensive = expensive && !strings.HasPrefix(step, prefix)
				}
				if strings.HasPrefix(step, "SEARCH providers USING") && index[name] != "" && !strings.Contains(step, "INDEX "+index[name]+" (") {
					t.Errorf("%s, with statistics %v: %s, want %s", name, analyzed, step, index[name])
				}
				if expensive {
					t.Errorf("%s, with statistics %v: %s", name, analyzed, step)
				}
			}
		}
	}
}

// plan returns the steps of a statement.
func plan(t *testing.T, s *Store, statement string) (steps []string) {
	t.Helper()
	err := s.read(t.Context(), func(c *sqlite.Conn) error {
		explain, _, err := c.PrepareTransient("EXPLAIN QUERY PLAN " + statement)
		if err != nil {
			return err
		}
		defer explain.Finalize()
		for {
			more, err := explain.Step()
			if err != nil || !more {
				return err
			}
			steps = append(steps, explain.ColumnText(3))
		}
	})
	if err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
	return steps
}
