-- +goose Up

-- How much keys are used: see package usage.
CREATE TABLE usage (
    resolution      smallint NOT NULL, -- 0 minutes, 1 hours, 2 days
    period          timestamptz(3) NOT NULL, -- its beginning
    organization_id bigint NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    key_id          text NOT NULL,
    operation       text NOT NULL,
    counts          bigint[] NOT NULL, -- requests, rejected, limited and failed ones, and how many took how long
    PRIMARY KEY (resolution, period, organization_id, key_id, operation)
);
