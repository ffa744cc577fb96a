-- Tiering policies that were given while a broker ran: topic settings for topics by name pattern.

CREATE TABLE policies (
    name     TEXT PRIMARY KEY NOT NULL,
    priority INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_topics (
    policy  TEXT NOT NULL REFERENCES policies (name) ON DELETE CASCADE,
    place   INTEGER NOT NULL CHECK (place >= 0),
    pattern TEXT NOT NULL,
    PRIMARY KEY (policy, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_settings (
    policy TEXT NOT NULL REFERENCES policies (name) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (policy, name)
) STRICT, WITHOUT ROWID;
