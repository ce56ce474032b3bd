-- +goose Up

-- A key that was revoked stays so, whatever the clock. Until its revoked_at, a key that is being replaced still works.
ALTER TABLE api_keys ADD COLUMN revoked boolean NOT NULL DEFAULT false;
UPDATE api_keys SET revoked = true WHERE revoked_at <= clock_timestamp();

-- A server is ready if it can write to this table.
CREATE TABLE write_probes (
    id bigint PRIMARY KEY,
    at timestamptz NOT NULL
);
