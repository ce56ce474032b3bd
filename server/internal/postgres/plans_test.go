package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carecycle/provider-api/gen/property"
	"github.com/carecycle/provider-api/server/internal/pgtest"
	"github.com/carecycle/provider-api/server/internal/provider"
	"github.com/carecycle/provider-api/server/internal/schema"
	"github.com/carecycle/provider-api/server/internal/storetest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TestPlans looks at how PostgreSQL would run each statement of a request or a command, in a new database and in one with a large
// customer, with and without statistics. None may read a whole table, sort, or find rows by their organization alone.
func TestPlans(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), pgtest.New(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list := func(filters ...property.Filter) string {
		statement, _ := selectList(&provider.List{Filters: filters})
		return statement
	}
	byType := property.Filter{Property: property.ProviderType, Value: property.Text("Hospital")}
	byActivity := property.Filter{Property: property.IsActive, Value: property.Boolean(true)}
	statements := map[string]string{
		"a customer":               selectCustomer,
		"a record":                 selectProvider,
		"records to change":        lockProviders,
		"free records to change":   lockFreeProviders,
		"locked records":           selectProviderIDs,
		"customers to write for":   lockCustomers,
		"free customers":           lockFreeCustomers,
		"locked customers":         selectCustomerIDs,
		"changed records":          saveProviders,
		"new customers":            insertCustomers,
		"new events":               insertEvents,
		"the numbers":              selectNumbers,
		"a new number":             insertNumber,
		"creations by key":         selectCreations,
		"new creations":            insertCreations,
		"a replaced creation":      deleteCreation,
		"an expired creation":      deleteFreeCreation,
		"a list":                   list(),
		"a list by type":           list(byType),
		"a list by activity":       list(byActivity),
		"a list by both":           list(byType, byActivity),
		"a page of a history":      selectEvents,
		"owners of an ID":          selectOwners,
		"versions":                 selectVersions,
		"events to remove":         deleteEvents,
		"an event to clear":        clearEvent,
		"a span of events":         countSpan,
		"events before it":         selectOlder,
		"activity":                 selectActivity,
		"purged customers":         selectPurged,
		"counts to remove":         deleteUsage,
		"a customer to open":       openCustomer,
		"a customer to lock":       lockToClose,
		"a customer to close":      closeCustomer,
		"records to purge":         listExisting,
		"deleted to purge":         listDeleted,
		"a history to remove":      deleteHistory,
		"a record to remove":       deleteRecord,
		"customers to lock":        lockToDelete,
		"a customer to remove":     deleteCustomer,
		"creations to remove":      selectKeyPage,
		"a creation to remove":     deleteKey,
		"any record":               selectAnyRecord,
		"any customer":             selectAnyCustomer,
		"an organization to lock":  lockOrganization,
		"count of a customer":      countExisting,
		"count of deleted":         countDeleted,
		"count of records":         countRecords,
		"count of customers":       countCustomers,
		"a closed customer":        selectClosed,
		"a key":                    selectKeys + "WHERE hash = $1",
		"a key by its ID":          selectKeys + "WHERE api_keys.id = $1",
		"the keys":                 listKeys,
		"an organization's keys":   listKeysOf,
		"the new keys":             selectNewKeys,
		"a revoked key":            revokeKey,
		"a replaced key":           replaceKey,
		"a key that is not":        undoRotation,
		"a changed key":            updateKey,
		"ended keys":               deleteEnded,
		"a new name":               renameOrganization,
		"a suspension":             suspendOrganization,
		"all keys":                 selectAllKeys,
		"the oldest event":         selectOldestEvent,
		"uses of keys":             updateKeyUses,
		"new buckets":              insertBuckets,
		"draws from buckets":       drawTokens,
		"the first of an export":   selectFirst,
		"the next of an export":    selectNext,
		"the others of a customer": selectOthers,
		"records to verify":        selectRecords(fromNext),
		"their histories":          selectHistories(fromNext),
		"the next organization":    selectNextOrganization,
		"keys of no organization":  selectStrayKeys,
		"a user by ID":             userByID,
		"a user by email":          userByEmail,
		"a user by link":           userByLink,
		"the users":                listUsers,
		"members":                  listMembers,
		"a user's codes":           findTOTP,
		"codes that are turned on": setTOTP,
		"codes that are removed":   removeTOTP,
		"a used code":              useStep,
		"a used recovery code":     useRecoveryCode,
		"a session":                findSession,
		"a user's sessions":        listSessions,
		"a new session":            createSession,
		"a session that is seen":   updateSession,
		"an invitation":            findInvitation,
		"invitations":              listInvitations,
		"added use of keys":        addUsage, "use of keys": selectUsage, "old use of keys": removeUsage,
		"a cancelled invitation": removeInvitation,
		"an accepted invitation": acceptInvitation,
	}
	// What a statement may do although it looks expensive.
	allowed := map[string][]string{
		"a list by activity":     {"Sort"},                                    // a page for each type
		"a list by type":         {"Sort Key"},                                // pages
		"owners of an ID":        {"Index Scan", "Seq Scan on organizations"}, // of the organizations
		"a key":                  {"Seq Scan on organizations"},               // one row, if the table is small
		"a key by its ID":        {"Seq Scan on organizations"},
		"an organization's keys": {"Seq Scan on organizations"},
		"all keys":               {"Incremental Sort", "Sort Key", "Presorted Key", "Seq Scan on organizations"},
		"the keys":               {"Incremental Sort", "Sort Key", "Presorted Key"},                                       // of one time
		"the first of an export": {"Incremental Sort", "Sort Key", "Presorted Key", "Index Cond: (organization_id = $1)"}, // the customers of an organization
		"the next of an export":  {"Incremental Sort", "Sort Key", "Presorted Key"},

		"the first customers":     {"Index Cond: (organization_id = $1)"}, // up to the limit
		"invitations":             {"Index Cond: (organization_id = $1)"}, // all of an organization
		"activity":                {"Sort", "Seq Scan on organizations"},  // of a span
		"counts to remove":        {"Index Cond: (organization_id = $1)"}, // a piece
		"any record":              {"Index Cond: (organization_id = $1)"}, // one row
		"any customer":            {"Index Cond: (organization_id = $1)"},
		"count of records":        {"Index Cond: (organization_id = $1)", "Recheck Cond: (organization_id = $1)"}, // all of an organization
		"count of customers":      {"Index Cond: (organization_id = $1)", "Recheck Cond: (organization_id = $1)"},
		"an organization to lock": {"Seq Scan on organizations"},

		"the next organization":   {"Seq Scan on organizations", "Sort Key"}, // one row of each table
		"keys of no organization": {"Seq Scan"},                              // all keys
	}
	for _, table := range schema.Tables { // all rows, in the order of the key
		statements["all "+table.Name] = table.OrderedRows()
	}
	index := map[string]string{
		"a list": "providers_by_customer", "a list by type": "providers_by_filter", "a list by activity": "providers_by_filter", "a list by both": "providers_by_filter",
		"the others of a customer": "providers_by_customer", "records to purge": "providers_by_customer", "deleted to purge": "providers_deleted", "count of deleted": "providers_deleted",
	}
	check := func(state string) {
		t.Helper()
		for name, statement := range statements {
			text := genericPlan(t, s, statement)
			if index[name] != "" && strings.Count(text, " using ") != strings.Count(text, " using "+index[name]+" ") {
				t.Errorf("%s, %s: want the index %s:\n%s", name, state, index[name], text)
			}
			lines := strings.Split(text, "\n")
			for i, line := range lines {
				line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "->"))
				if strings.HasPrefix(line, "Sort ") && i+2 < len(lines) && strings.Contains(lines[i+2], "Limit ") { // of a page
					continue
				}
				expensive := strings.HasPrefix(line, "Seq Scan") || strings.Contains(line, "Sort") || strings.HasSuffix(line, "Cond: (organization_id = $1)")
				for _, prefix := range allowed[name] {
					expensive = expensive && !strings.HasPrefix(line, prefix)
				}
				if expensive {
					t.Errorf("%s, %s: %s:\n%s", name, state, line, text)
				}
			}
		}
	}
	check("new")
	organization, _, err := s.EnsureOrganization(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	const crowd = 2000
	customer := uuid.New()
	for range 3 {
		imports := make([]provider.Import, crowd)
		for i := range imports {
			imports[i] = provider.Import{ID: uuid.New(), Patch: storetest.PatchOf(i)}
			imports[i].Patch.CustomerID = &customer
		}
		if _, err := s.Import(t.Context(), organization, imports, nil); err != nil {
			t.Fatal(err)
		}
		customer = imports[0].ID
	}
	check("filled")
	// Not all tables: those that databases share can be locked by other tests.
	if _, err := s.execute(t.Context(), "ANALYZE organizations, property_names, api_keys, customers, providers, provider_events, idempotency_keys, users, recovery_codes, memberships, sessions, invitations, usage, rate_buckets"); err != nil {
		t.Fatal(err)
	}
	check("with statistics")
}

// genericPlan returns the plan of a statement for any parameters, which is the one that the store's connections use.
func genericPlan(t *testing.T, s *Store, statement string) string {
	t.Helper()
	var lines []string
	err := s.attempt(t.Context(), attemptTimeout, func(ctx context.Context, c *pgx.Conn) error {
		prepared, err := c.Prepare(ctx, "plan", statement)
		if err != nil {
			return fmt.Errorf("%w: %s", err, statement)
		}
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(prepared.ParamOIDs)), ", ")
		explain := "EXPLAIN EXECUTE plan"
		if nulls != "" {
			explain += " (" + nulls + ")"
		}
		rows, err := c.Query(ctx, explain, pgx.QueryExecModeSimpleProtocol)
		if err == nil {
			lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return errors.Join(err, c.Deallocate(ctx, "plan"))
	})
	if err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
	return strings.Join(lines, "\n")
}
