-- +goose Up
-- Who may be part of the system: zones, and servers with identities.

CREATE TABLE authority (
    generation INTEGER PRIMARY KEY, -- two nodes that make one at once agree on one
    pem        TEXT NOT NULL        -- key and certificate
);

CREATE TABLE zones (
    id         TEXT PRIMARY KEY,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE enrolments (
    hash       TEXT PRIMARY KEY, -- SHA-256 of the secret, hexadecimal
    role       TEXT NOT NULL,
    zone       TEXT NOT NULL, -- '' for a tunnel
    name       TEXT NOT NULL, -- '' for any server that is not enrolled yet
    expires_at TIMESTAMP NOT NULL,
    used_at    TIMESTAMP
);

CREATE TABLE servers (
    identity    TEXT PRIMARY KEY,
    zone        TEXT NOT NULL,
    enrolled_at TIMESTAMP NOT NULL,
    renewed_at  TIMESTAMP NOT NULL,
    expires_at  TIMESTAMP NOT NULL, -- of its newest certificate
    revoked_at  TIMESTAMP
);

CREATE TABLE revocations (
    identity   TEXT PRIMARY KEY, -- of a server, or zone/Z for all of a zone
    revoked_at TIMESTAMP NOT NULL
);

ALTER TABLE signing_keys ADD COLUMN revoked_at TIMESTAMP; -- verifies no longer

-- +goose Down
ALTER TABLE signing_keys DROP COLUMN revoked_at;
DROP TABLE revocations;
DROP TABLE servers;
DROP TABLE enrolments;
DROP TABLE zones;
DROP TABLE authority;
