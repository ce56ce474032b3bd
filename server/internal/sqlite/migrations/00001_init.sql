-- +goose Up

CREATE TABLE organizations (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE api_keys (
    id              TEXT PRIMARY KEY,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    hash            BLOB NOT NULL UNIQUE, -- SHA-256 of the key; the key itself is nowhere
    permissions     TEXT NOT NULL,        -- separated by spaces
    rate_limit      INTEGER NOT NULL,     -- requests a minute, 0 for none
    created_at      INTEGER NOT NULL,     -- this and every time below: milliseconds since 1970, UTC
    expires_at      INTEGER,
    revoked_at      INTEGER,
    last_used_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE customers (
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    id              BLOB NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE providers (
    row                 INTEGER PRIMARY KEY,
    organization_id     INTEGER NOT NULL,
    id                  BLOB NOT NULL,
    last_event          INTEGER NOT NULL, -- provider_events.row
    customer_id         BLOB NOT NULL,
    created_at          INTEGER NOT NULL,
    deleted             INTEGER NOT NULL, -- 1: the record is gone; the row is kept for its version and its history
    version             INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    provider_type       TEXT NOT NULL,
    specialty           TEXT,
    provider_name       TEXT,
    practice_name       TEXT,
    npi                 TEXT,
    phone               TEXT,
    fax                 TEXT,
    email               TEXT,
    address             TEXT,
    address2            TEXT,
    city                TEXT,
    state               TEXT,
    postal_code         TEXT,
    is_primary_provider INTEGER,
    is_active           INTEGER,
    notes               TEXT,
    UNIQUE (organization_id, id),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
) STRICT;

-- For lists. A change of a record's values leaves it alone.
CREATE INDEX providers_by_customer ON providers (organization_id, customer_id, created_at, id) WHERE deleted = 0;

-- The history. Events are appended and never change. Each names the one before it of the same record, and the record
-- names its last, so that writing an event touches no index: an update costs one page of providers and a part of one here.
CREATE TABLE provider_events (
    row             INTEGER PRIMARY KEY,
    previous        INTEGER,       -- null for the record's first
    version         INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    action          TEXT NOT NULL,
    key_id          TEXT NOT NULL, -- empty for the operator
    request_id      TEXT NOT NULL, -- empty where there was no request
    changes         TEXT NOT NULL  -- a JSON array of {field, from, to}
) STRICT;
