-- +goose Up

-- Customers that were purged: their providers are tombstones, and nobody sees them. A column of customers would have exports sort.
CREATE TABLE purged_customers (
    organization_id INTEGER NOT NULL,
    id              BLOB NOT NULL,
    purged_at       INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
