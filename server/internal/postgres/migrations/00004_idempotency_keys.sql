-- +goose Up

-- The keys of creations, for 24 hours. Later creations remove old ones that are next to theirs, so there is no index on the time.
CREATE TABLE idempotency_keys (
    organization_id bigint NOT NULL,
    key             bytea NOT NULL, -- SHA-256 of the key; the key itself is nowhere
    fingerprint     bytea NOT NULL, -- SHA-256 of the key, the customer and the values
    provider_id     uuid NOT NULL,
    at              timestamptz(3) NOT NULL, -- when the record was created
    PRIMARY KEY (organization_id, key)
);
