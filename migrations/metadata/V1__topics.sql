-- What one broker knows of its cluster: topics, their settings, and the producer ids given out.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE topics (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name     TEXT NOT NULL,
    deleting INTEGER NOT NULL DEFAULT 0 CHECK (deleting IN (0, 1))
) STRICT, WITHOUT ROWID;

-- A name is free again as soon as its topic is being deleted.
CREATE UNIQUE INDEX live_topic_names ON topics (name) WHERE deleting = 0;

CREATE TABLE partitions (
    topic_id     BLOB NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    partition    INTEGER NOT NULL CHECK (partition >= 0),
    leader_epoch INTEGER NOT NULL CHECK (leader_epoch >= 0),
    PRIMARY KEY (topic_id, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE topic_settings (
    topic_id BLOB NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (topic_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE producer_ids (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    next     INTEGER NOT NULL CHECK (next >= 0)
) STRICT;

INSERT INTO producer_ids (only_row, next) VALUES (0, 0);
