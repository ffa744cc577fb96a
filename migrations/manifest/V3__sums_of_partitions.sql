-- The sums are kept by partition and both states, so that what is asked of a partition, or of all of them,
-- is never added up of rows either. A row may be updated now: a change of its states touches no index that
-- it does not have to.

DROP TRIGGER segment_replaced;
DROP TRIGGER segment_added;
DROP TRIGGER segment_removed;
DROP TRIGGER segment_changed;
DROP TABLE sums;

CREATE TABLE sums (
    topic_id     BLOB    NOT NULL CHECK (length(topic_id) = 16),
    partition    INTEGER NOT NULL CHECK (partition >= 0),
    local_state  INTEGER NOT NULL CHECK (local_state IN (0, 1)),
    remote_state INTEGER NOT NULL CHECK (remote_state IN (0, 1, 2, 3)),
    segments     INTEGER NOT NULL CHECK (segments >= 0),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (topic_id, partition, local_state, remote_state)
) STRICT, WITHOUT ROWID;

INSERT INTO sums (topic_id, partition, local_state, remote_state, segments, bytes)
    SELECT topic_id, partition, local_state, remote_state, count(*), sum(size)
    FROM segments GROUP BY 1, 2, 3, 4;

-- REPLACE would remove a row without a word to the triggers: rows are inserted, updated and deleted.
CREATE TRIGGER segment_added AFTER INSERT ON segments BEGIN
    INSERT INTO sums (topic_id, partition, local_state, remote_state, segments, bytes)
        VALUES (new.topic_id, new.partition, new.local_state, new.remote_state, 1, new.size)
        ON CONFLICT DO UPDATE SET segments = segments + 1, bytes = bytes + excluded.bytes;
END;

-- Of a state that nothing is in any more there is no sum.
CREATE TRIGGER segment_removed AFTER DELETE ON segments BEGIN
    UPDATE sums SET segments = segments - 1, bytes = bytes - old.size
        WHERE topic_id = old.topic_id AND partition = old.partition
        AND local_state = old.local_state AND remote_state = old.remote_state;
    DELETE FROM sums
        WHERE topic_id = old.topic_id AND partition = old.partition
        AND local_state = old.local_state AND remote_state = old.remote_state AND segments = 0;
END;

CREATE TRIGGER segment_changed AFTER UPDATE ON segments
WHEN (old.local_state, old.remote_state, old.size) <> (new.local_state, new.remote_state, new.size)
BEGIN
    INSERT INTO sums (topic_id, partition, local_state, remote_state, segments, bytes)
        VALUES (new.topic_id, new.partition, new.local_state, new.remote_state, 1, new.size)
        ON CONFLICT DO UPDATE SET segments = segments + 1, bytes = bytes + excluded.bytes;
    UPDATE sums SET segments = segments - 1, bytes = bytes - old.size
        WHERE topic_id = old.topic_id AND partition = old.partition
        AND local_state = old.local_state AND remote_state = old.remote_state;
    DELETE FROM sums
        WHERE topic_id = old.topic_id AND partition = old.partition
        AND local_state = old.local_state AND remote_state = old.remote_state AND segments = 0;
END;

-- A key is for ever: the sums follow states and sizes.
CREATE TRIGGER segment_moved BEFORE UPDATE OF topic_id, partition, base_offset ON segments BEGIN
    SELECT raise(ABORT, 'a segment does not move');
END;

-- A deletion in one partition looks only at what is unfinished there, however much is in others.
CREATE INDEX segments_unfinished_in_partition
    ON segments (topic_id, partition, remote_state, changed_ms) WHERE remote_state IN (1, 3);
