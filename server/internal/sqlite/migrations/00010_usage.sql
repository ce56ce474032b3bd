-- +goose Up

-- How much keys are used: see package usage.
CREATE TABLE usage (
    resolution      INTEGER NOT NULL, -- 0 minutes, 1 hours, 2 days
    period          INTEGER NOT NULL, -- its beginning
    organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    key_id          TEXT NOT NULL,
    operation       TEXT NOT NULL,
    requests        INTEGER NOT NULL,
    rejected        INTEGER NOT NULL,
    limited         INTEGER NOT NULL,
    failed          INTEGER NOT NULL,
    latency_0       INTEGER NOT NULL, -- requests, by how long they took
    latency_1       INTEGER NOT NULL,
    latency_2       INTEGER NOT NULL,
    latency_3       INTEGER NOT NULL,
    latency_4       INTEGER NOT NULL,
    latency_5       INTEGER NOT NULL,
    PRIMARY KEY (resolution, period, organization_id, key_id, operation)
) STRICT, WITHOUT ROWID;
