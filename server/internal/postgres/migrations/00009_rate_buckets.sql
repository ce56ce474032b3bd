-- +goose Up

-- How much of each key's rate limit is left, for all servers together. It is refilled within a minute, so a crash may empty the table,
-- and nothing of it needs to be in the write-ahead log. A row that finds room in its page leaves the index alone.
CREATE UNLOGGED TABLE rate_buckets (
    key_id  text PRIMARY KEY,     -- of api_keys
    tokens  float8 NOT NULL,      -- requests that are left; negative if servers have let more pass
    granted float8 NOT NULL,      -- what the last server took
    at      timestamptz NOT NULL  -- of tokens
) WITH (fillfactor = 50);
