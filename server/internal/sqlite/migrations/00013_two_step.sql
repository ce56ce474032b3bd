-- +goose Up

-- Two-step sign-in: the secret from which a user's app computes codes, readable, as the server computes them too. Null while it is off.
ALTER TABLE users ADD COLUMN totp_secret TEXT; -- base32
ALTER TABLE users ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0; -- of the latest code that was used: half minutes since 1970

-- In the place of an app's code, each once.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BLOB NOT NULL, -- SHA-256
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;
