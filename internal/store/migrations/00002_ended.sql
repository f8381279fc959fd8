-- +goose Up
-- Deleted meetings whose join tokens may still be valid.
CREATE TABLE deleted_meetings (
    id       TEXT PRIMARY KEY,
    ended_at TIMESTAMP NOT NULL
);

CREATE INDEX deleted_meetings_ended ON deleted_meetings (ended_at);

CREATE INDEX meetings_ended ON meetings (ended_at);

-- +goose Down
DROP INDEX meetings_ended;
DROP TABLE deleted_meetings;
