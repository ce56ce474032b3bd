-- +goose Up

-- The numbers by which new events name the properties that they have changed. A property keeps its number, even if the contract loses it.
--
-- In such an event, provider_events.changes is [1,"to","to",…,12,["from","to"],["from"]], action is a letter, and request_id is shorter: see
-- StoredEvent of package wire. Older events stay as they are.
CREATE TABLE property_names (
    number INTEGER PRIMARY KEY, -- from 1, without gaps
    name   TEXT NOT NULL UNIQUE
) STRICT;
