-- +goose Up
-- One set of statements for PostgreSQL and SQLite. Times are UTC.

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE, -- SHA-256 of the key, hexadecimal
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY,
    generation INTEGER NOT NULL UNIQUE, -- two nodes that make a key at once agree on one
    seed       TEXT NOT NULL,           -- Ed25519 seed, hexadecimal
    created_at TIMESTAMP NOT NULL,
    retired_at TIMESTAMP
);

CREATE TABLE meetings (
    id           TEXT PRIMARY KEY,
    number       TEXT NOT NULL UNIQUE,
    topic        TEXT NOT NULL,
    passcode     TEXT NOT NULL,
    host_secret  TEXT NOT NULL,
    owner        TEXT NOT NULL, -- api_keys.id of who made it, '' for a visitor
    scheduled_at TIMESTAMP,
    created_at   TIMESTAMP NOT NULL,
    ended_at     TIMESTAMP
);

CREATE INDEX meetings_newest ON meetings (created_at, id);

CREATE TABLE reports (
    id          TEXT PRIMARY KEY,
    meeting     TEXT NOT NULL, -- number
    participant TEXT NOT NULL,
    ok          BOOLEAN NOT NULL,
    received_at TIMESTAMP NOT NULL,
    report      TEXT NOT NULL  -- JSON
);

CREATE INDEX reports_newest ON reports (received_at, id);

-- +goose Down
DROP TABLE reports;
DROP TABLE meetings;
DROP TABLE signing_keys;
DROP TABLE api_keys;
