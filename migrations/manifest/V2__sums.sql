-- What the rows add up to, by topic and state. The triggers keep it, in the transaction of the change
-- itself, so that nobody ever adds up all rows while a broker runs.

CREATE TABLE sums (
    topic_id     BLOB    NOT NULL CHECK (length(topic_id) = 16),
    remote_state INTEGER NOT NULL CHECK (remote_state IN (0, 1, 2, 3)),
    segments     INTEGER NOT NULL CHECK (segments >= 0),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (topic_id, remote_state)
) STRICT, WITHOUT ROWID;

INSERT INTO sums (topic_id, remote_state, segments, bytes)
    SELECT topic_id, remote_state, count(*), sum(size) FROM segments GROUP BY 1, 2;

-- INSERT OR REPLACE removes the old row without a word to its trigger, so it is removed before.
CREATE TRIGGER segment_replaced BEFORE INSERT ON segments BEGIN
    DELETE FROM segments
        WHERE topic_id = new.topic_id AND partition = new.partition
        AND base_offset = new.base_offset;
END;

-- No conflict clause in here: that of the statement which sets the trigger off would count instead.
CREATE TRIGGER segment_added AFTER INSERT ON segments BEGIN
    INSERT INTO sums (topic_id, remote_state, segments, bytes)
        SELECT new.topic_id, new.remote_state, 0, 0
        WHERE NOT EXISTS (
            SELECT 1 FROM sums
            WHERE topic_id = new.topic_id AND remote_state = new.remote_state
        );
    UPDATE sums SET segments = segments + 1, bytes = bytes + new.size
        WHERE topic_id = new.topic_id AND remote_state = new.remote_state;
END;

-- A topic of which nothing is left has no sums.
CREATE TRIGGER segment_removed AFTER DELETE ON segments BEGIN
    UPDATE sums SET segments = segments - 1, bytes = bytes - old.size
        WHERE topic_id = old.topic_id AND remote_state = old.remote_state;
    DELETE FROM sums
        WHERE topic_id = old.topic_id AND remote_state = old.remote_state AND segments = 0;
END;

-- Rows are only ever replaced as a whole: a change of one column would pass the sums by.
CREATE TRIGGER segment_changed BEFORE UPDATE ON segments BEGIN
    SELECT raise(ABORT, 'a row of segments is replaced, never updated');
END;
