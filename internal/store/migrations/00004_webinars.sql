-- +goose Up
ALTER TABLE meetings ADD COLUMN panel_secret TEXT NOT NULL DEFAULT ''; -- of a webinar

-- +goose Down
ALTER TABLE meetings DROP COLUMN panel_secret;
