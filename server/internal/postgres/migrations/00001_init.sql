-- +goose Up

CREATE TABLE organizations (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE api_keys (
    id              text PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES organizations (id),
    name            text NOT NULL,
    prefix          text NOT NULL,
    hash            bytea NOT NULL UNIQUE, -- SHA-256 of the key; the key itself is nowhere
    permissions     text NOT NULL,         -- separated by spaces
    rate_limit      bigint NOT NULL,       -- requests a minute, 0 for none
    created_at      timestamptz(3) NOT NULL,
    expires_at      timestamptz(3),
    revoked_at      timestamptz(3),
    last_used_at    timestamptz(3)
);

CREATE TABLE customers (
    organization_id bigint NOT NULL REFERENCES organizations (id),
    id              uuid NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE providers (
    organization_id     bigint NOT NULL,
    id                  uuid NOT NULL,
    customer_id         uuid NOT NULL,
    version             bigint NOT NULL,
    created_at          timestamptz(3) NOT NULL,
    updated_at          timestamptz(3) NOT NULL,
    deleted             boolean NOT NULL, -- the record is gone; the row is kept for its version and its history
    provider_type       text NOT NULL,
    specialty           text,
    provider_name       text,
    practice_name       text,
    npi                 text,
    phone               text,
    fax                 text,
    email               text,
    address             text,
    address2            text,
    city                text,
    state               text,
    postal_code         text,
    is_primary_provider boolean,
    is_active           boolean,
    notes               text,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customers (organization_id, id)
) WITH (fillfactor = 90); -- a changed row that finds room in its page leaves the indexes alone

-- For lists. A change of a record's values leaves it alone.
CREATE INDEX providers_by_customer ON providers (organization_id, customer_id, created_at DESC, id DESC) WHERE NOT deleted;

CREATE TABLE provider_events (
    organization_id bigint NOT NULL,
    provider_id     uuid NOT NULL,
    version         bigint NOT NULL,
    at              timestamptz(3) NOT NULL,
    action          text NOT NULL,
    key_id          text NOT NULL, -- empty for the operator
    request_id      text NOT NULL, -- empty where there was no request
    changes         text NOT NULL, -- a JSON array of {field, from, to}
    PRIMARY KEY (organization_id, provider_id, version)
);
