-- +goose Up

-- The numbers by which new events name the properties that they have changed. A property keeps its number, even if the contract loses it.
-- The table is empty while servers may run that are older than it, and new events are then like older ones.
--
-- In an event with numbers, provider_events.changes is [1,"to","to",…,12,["from","to"],["from"]], action is a letter, and request_id is shorter:
-- see StoredEvent of package wire. Older events stay as they are.
CREATE TABLE property_names (
    number bigint PRIMARY KEY, -- from 1, without gaps
    name   text NOT NULL UNIQUE
);
