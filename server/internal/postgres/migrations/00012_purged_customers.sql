-- +goose Up

-- Customers that were purged: their providers are tombstones, and nobody sees them.
CREATE TABLE purged_customers (
    organization_id bigint NOT NULL,
    id              uuid NOT NULL,
    purged_at       timestamptz(3) NOT NULL,
    PRIMARY KEY (organization_id, id)
);
