-- +goose Up
ALTER TABLE reports ADD COLUMN size INTEGER NOT NULL DEFAULT 0; -- of the report
UPDATE reports SET size = length(report);
DROP INDEX reports_newest;
CREATE INDEX reports_newest ON reports (received_at, id, size);

-- +goose Down
DROP INDEX reports_newest;
CREATE INDEX reports_newest ON reports (received_at, id);
ALTER TABLE reports DROP COLUMN size;
