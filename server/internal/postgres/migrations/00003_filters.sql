-- +goose NO TRANSACTION
-- +goose Up

-- From here on, provider_events.changes of a new event is an object: {"city":["from","to"]}, or {"city":"to"} where there was no value.

-- For lists with filters: see package schema. What an interrupted attempt has left is dropped first; records can be changed while the
-- index is built. It has the same records as providers_by_customer, and says so in words of its own, which the lists repeat:
-- PostgreSQL chooses an index by what it believes of an average customer, and would read all records of a large one.
DROP INDEX CONCURRENTLY IF EXISTS providers_by_filter;
CREATE INDEX CONCURRENTLY providers_by_filter ON providers (organization_id, customer_id, provider_type, is_active, created_at DESC, id DESC) WHERE deleted < true;
