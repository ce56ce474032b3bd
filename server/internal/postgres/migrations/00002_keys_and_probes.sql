-- +goose Up

-- A key that was revoked stays so, whatever the clock. Until its revoked_at, a key that is being replaced still works.
ALTER TABLE api_keys ADD COLUMN revoked boolean NOT NULL DEFAULT false;
UPDATE api_keys SET revoked = true WHERE revoked_at <= clock_timestamp();

-- For a server that learns which keys are new.
CREATE INDEX api_keys_by_time ON api_keys (created_at);

-- A server is ready if it can write to this table.
CREATE TABLE write_probes (
    id bigint PRIMARY KEY,
    at timestamptz NOT NULL
);
