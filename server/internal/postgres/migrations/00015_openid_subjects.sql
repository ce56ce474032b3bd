-- +goose Up

-- Who a user is to the OpenID Connect issuer: its URL, a space, and its "sub", which unlike an email address is never given to another
-- person. Null until the user signs in with it.
ALTER TABLE users ADD COLUMN openid_subject text;
