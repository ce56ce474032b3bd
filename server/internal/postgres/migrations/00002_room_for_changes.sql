-- +goose Up

-- A changed row that finds room in its page leaves the indexes alone. Rows that are there stay as they are; VACUUM FULL moves them.
ALTER TABLE providers SET (fillfactor = 90);
