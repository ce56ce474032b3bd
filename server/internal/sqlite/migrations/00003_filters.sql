-- +goose Up

-- From here on, provider_events.changes of a new event is an object: {"city":["from","to"]}, or {"city":"to"} where there was no value.

-- For lists with filters: see package schema.
CREATE INDEX providers_by_filter ON providers (organization_id, customer_id, provider_type, is_active, created_at, id) WHERE deleted = 0;

-- One event in 64 names its record, so that a page of a long history is found without a walk from its end.
ALTER TABLE provider_events ADD COLUMN organization_id INTEGER;
ALTER TABLE provider_events ADD COLUMN provider_id BLOB;
WITH RECURSIVE history AS (
    SELECT organization_id, id, last_event AS event FROM providers WHERE version >= 64
    UNION ALL
    SELECT history.organization_id, history.id, previous FROM history JOIN provider_events ON row = event WHERE previous IS NOT NULL
)
UPDATE provider_events SET organization_id = history.organization_id, provider_id = history.id
    FROM history WHERE row = event AND version % 64 = 0;
CREATE INDEX provider_events_by_version ON provider_events (organization_id, provider_id, version) WHERE provider_id IS NOT NULL;
