-- +goose Up

-- The people who use the dashboard.
CREATE TABLE users (
    id               TEXT PRIMARY KEY,
    email            TEXT NOT NULL UNIQUE, -- in lower case
    operator         INTEGER NOT NULL,
    disabled         INTEGER NOT NULL DEFAULT 0,
    password_hash    TEXT NOT NULL DEFAULT '', -- argon2id; empty until a password is chosen
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    link_hash        BLOB UNIQUE, -- SHA-256 of the token of the link that works now
    link_expires_at  INTEGER,
    created_at       INTEGER NOT NULL,
    signed_in_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    PRIMARY KEY (user_id, organization_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_by_organization ON memberships (organization_id);

CREATE TABLE sessions (
    key        TEXT PRIMARY KEY, -- SHA-256 of the token, in base64; the token itself is nowhere
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    data       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Until they are accepted. They may be for people who are no users yet.
CREATE TABLE invitations (
    hash            BLOB PRIMARY KEY, -- SHA-256 of the token
    organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL,
    expires_at      INTEGER NOT NULL,
    UNIQUE (organization_id, email)
) STRICT, WITHOUT ROWID;
