-- +goose Up

-- For activity: each event names the row of its record. This takes the place of the names in one event of 64: the index of those events
-- has the same use and is smaller. The chains end where a version does not become smaller, also in a damaged file.
CREATE TABLE event_records (event INTEGER PRIMARY KEY, record INTEGER NOT NULL) STRICT;
WITH RECURSIVE history AS (
    SELECT row AS record, last_event AS event, version + 1 AS above FROM providers
    UNION ALL
    SELECT history.record, previous, version FROM history JOIN provider_events ON row = event WHERE previous IS NOT NULL AND version < above
)
INSERT OR IGNORE INTO event_records SELECT event, record FROM history;

CREATE TABLE new_events (
    row        INTEGER PRIMARY KEY,
    record     INTEGER NOT NULL, -- providers.row
    previous   INTEGER,          -- null for the record's first
    version    INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,
    key_id     TEXT NOT NULL,    -- empty for the operator
    request_id TEXT NOT NULL,    -- empty where there was no request
    changes    TEXT NOT NULL     -- see 00003
) STRICT;
INSERT INTO new_events SELECT row, coalesce(record, 0), previous, version, at, action, key_id, request_id, changes
    FROM provider_events LEFT JOIN event_records ON event = row ORDER BY row;
DROP TABLE event_records;
DROP TABLE provider_events;
ALTER TABLE new_events RENAME TO provider_events;
CREATE INDEX provider_events_by_version ON provider_events (record, version) WHERE version % 64 = 0;

-- The times of 1,024 events, written with the last of them. Events are in the order in which they were saved, which is that of their
-- times unless the clock was set back.
CREATE TABLE provider_event_times (
    part   INTEGER PRIMARY KEY, -- provider_events.row / 1024
    oldest INTEGER NOT NULL,
    newest INTEGER NOT NULL
) STRICT;
INSERT INTO provider_event_times SELECT row >> 10, min(at), max(at) FROM provider_events GROUP BY row >> 10;

-- For a purge, which needs the deleted records of a customer, too.
CREATE INDEX providers_deleted ON providers (organization_id, customer_id, created_at, id) WHERE deleted = 1;

-- For the removal of an organization. It costs the counts a little each half minute.
CREATE INDEX usage_by_organization ON usage (organization_id);

-- The numbers of organizations that were purged, which are never used again.
CREATE TABLE purged_organizations (
    id        INTEGER PRIMARY KEY,
    purged_at INTEGER NOT NULL
) STRICT;
