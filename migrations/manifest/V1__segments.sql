-- The manifest: one row for each sealed segment (tiering/src/manifest).
-- Forward-only: a change is a new file beside this one, never an edit of it.

-- What the manifest as a whole knows: which store it belongs to, and whether every object of that
-- store has its row here.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE topics (
    topic_id BLOB NOT NULL PRIMARY KEY CHECK (length(topic_id) = 16),
    name     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    topic_id           BLOB    NOT NULL REFERENCES topics (topic_id),
    partition          INTEGER NOT NULL CHECK (partition >= 0),
    base_offset        INTEGER NOT NULL CHECK (base_offset >= 0),
    end_offset         INTEGER NOT NULL CHECK (end_offset >= base_offset),
    object_base        INTEGER NOT NULL CHECK (object_base <= base_offset),
    object_end         INTEGER NOT NULL CHECK (object_end >= end_offset),
    first_timestamp_ms INTEGER NOT NULL,
    max_timestamp_ms   INTEGER NOT NULL,
    size               INTEGER NOT NULL CHECK (size > 0),
    leader_epoch       INTEGER NOT NULL,
    epochs             BLOB    NOT NULL CHECK (length(epochs) % 12 = 0),
    segment_id         BLOB    NOT NULL CHECK (length(segment_id) = 16),
    log_crc            INTEGER,
    sealed_ms          INTEGER NOT NULL,
    changed_ms         INTEGER NOT NULL,
    -- 0 present, 1 gone
    local_state        INTEGER NOT NULL CHECK (local_state IN (0, 1)),
    -- 0 none, 1 uploading, 2 live, 3 deleting
    remote_state       INTEGER NOT NULL CHECK (remote_state IN (0, 1, 2, 3)),
    -- The only copy of a segment is never given up: a gone local file means live or deleting.
    CHECK (local_state = 0 OR remote_state IN (2, 3)),
    PRIMARY KEY (topic_id, partition, base_offset)
) STRICT, WITHOUT ROWID;

-- Time queries look at live rows only.
CREATE INDEX segments_by_time
    ON segments (topic_id, partition, max_timestamp_ms, base_offset) WHERE remote_state = 2;

-- Garbage collection looks at unfinished rows only: few, whatever the history.
CREATE INDEX segments_unfinished
    ON segments (remote_state, changed_ms) WHERE remote_state IN (1, 3);

CREATE INDEX segments_by_id ON segments (segment_id);
