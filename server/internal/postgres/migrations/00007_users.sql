-- +goose Up

-- The people who use the dashboard.
CREATE TABLE users (
    id               text COLLATE "C" PRIMARY KEY,
    email            text COLLATE "C" NOT NULL UNIQUE, -- in lower case
    operator         boolean NOT NULL,
    disabled         boolean NOT NULL DEFAULT false,
    password_hash    text NOT NULL DEFAULT '', -- argon2id; empty until a password is chosen
    attempts         bigint NOT NULL DEFAULT 0,
    first_attempt_at timestamptz(3),
    link_hash        bytea UNIQUE, -- SHA-256 of the token of the link that works now
    link_expires_at  timestamptz(3),
    created_at       timestamptz(3) NOT NULL,
    signed_in_at     timestamptz(3)
);

CREATE TABLE memberships (
    user_id         text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id bigint NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    role            text NOT NULL,
    PRIMARY KEY (user_id, organization_id)
);

CREATE INDEX memberships_by_organization ON memberships (organization_id);

CREATE TABLE sessions (
    key        text PRIMARY KEY, -- SHA-256 of the token, in base64; the token itself is nowhere
    user_id    text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    data       bytea NOT NULL,
    created_at timestamptz(3) NOT NULL,
    seen_at    timestamptz(3) NOT NULL,
    expires_at timestamptz(3) NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Until they are accepted. They may be for people who are no users yet.
CREATE TABLE invitations (
    hash            bytea PRIMARY KEY, -- SHA-256 of the token
    organization_id bigint NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           text COLLATE "C" NOT NULL,
    role            text NOT NULL,
    expires_at      timestamptz(3) NOT NULL,
    UNIQUE (organization_id, email)
);
