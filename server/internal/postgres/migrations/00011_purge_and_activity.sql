-- +goose NO TRANSACTION
-- +goose Up

-- For activity. Events are appended, so a few bytes for each hundred pages tell where those of a time are.
DROP INDEX CONCURRENTLY IF EXISTS provider_events_by_time;
CREATE INDEX CONCURRENTLY provider_events_by_time ON provider_events USING brin (at) WITH (autosummarize = on);

-- For a purge, which needs the deleted records of a customer, too.
DROP INDEX CONCURRENTLY IF EXISTS providers_deleted;
CREATE INDEX CONCURRENTLY providers_deleted ON providers (organization_id, customer_id, created_at, id) WHERE deleted;

-- For the removal of an organization. It costs the counts a little each half minute.
DROP INDEX CONCURRENTLY IF EXISTS usage_by_organization;
CREATE INDEX CONCURRENTLY usage_by_organization ON usage (organization_id);

-- The numbers of organizations that were purged.
CREATE TABLE IF NOT EXISTS purged_organizations (
    id        bigint PRIMARY KEY,
    purged_at timestamptz(3) NOT NULL
);
