-- +goose NO TRANSACTION
-- +goose Up

-- For lists with filters: see package schema. What an interrupted attempt has left is dropped first; records can be changed while an
-- index is built. All records that are not deleted are in both indexes. Each says so in words of its own, which the lists repeat,
-- since PostgreSQL chooses an index by what it believes of an average customer, and would read all records of a large one.
DROP INDEX CONCURRENTLY IF EXISTS providers_by_activity;
CREATE INDEX CONCURRENTLY providers_by_activity ON providers (organization_id, customer_id, is_active, created_at DESC, id DESC) WHERE deleted <= false;
DROP INDEX CONCURRENTLY IF EXISTS providers_by_type;
CREATE INDEX CONCURRENTLY providers_by_type ON providers (organization_id, customer_id, provider_type, is_active, created_at DESC, id DESC) WHERE deleted < true;
