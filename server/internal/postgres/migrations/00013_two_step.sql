-- +goose Up

-- Two-step sign-in: the secret from which a user's app computes codes, readable, as the server computes them too. Null while it is off.
ALTER TABLE users
    ADD COLUMN totp_secret text, -- base32
    ADD COLUMN totp_step   bigint NOT NULL DEFAULT 0; -- of the latest code that was used: half minutes since 1970

-- In the place of an app's code, each once.
CREATE TABLE recovery_codes (
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    bytea NOT NULL, -- SHA-256
    PRIMARY KEY (user_id, hash)
);
