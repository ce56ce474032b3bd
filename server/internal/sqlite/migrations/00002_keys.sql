-- +goose Up

-- A key that was revoked stays so, whatever the clock. Until its revoked_at, a key that is being replaced still works.
ALTER TABLE api_keys ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;
UPDATE api_keys SET revoked = 1 WHERE revoked_at <= unixepoch('now', 'subsec') * 1000;

-- For a server that learns which keys are new.
CREATE INDEX api_keys_by_time ON api_keys (created_at);
