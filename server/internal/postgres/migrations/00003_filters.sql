-- +goose NO TRANSACTION
-- +goose Up

-- For lists with filters: see package schema. Records can be changed while an index is built. What an interrupted attempt has left
-- is dropped first.
DROP INDEX CONCURRENTLY IF EXISTS providers_by_activity;
CREATE INDEX CONCURRENTLY providers_by_activity ON providers (organization_id, customer_id, is_active, created_at DESC, id DESC) WHERE NOT deleted;
DROP INDEX CONCURRENTLY IF EXISTS providers_by_type;
CREATE INDEX CONCURRENTLY providers_by_type ON providers (organization_id, customer_id, provider_type, is_active, created_at DESC, id DESC) WHERE NOT deleted;
