-- +goose Up

-- Keys of a suspended organization are refused. A server of an older version ignores this.
ALTER TABLE organizations ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;

-- The ID of the key that replaces this one. That key can have been removed.
ALTER TABLE api_keys ADD COLUMN successor TEXT;

-- For the list of an organization's keys.
CREATE INDEX api_keys_by_organization ON api_keys (organization_id, created_at);
