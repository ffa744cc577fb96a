//! Who reads the history: consumers whose fetches are answered from the remote tier.
//!
//! A reader is a client, by its own name and its address, in one partition. A fetch does not say
//! for which group it is; the commit of an offset does, and names the partition, so the group is
//! known from the first commit on.
//!
//! Invariants: at most [`READERS_MAX`] readers are remembered, the one that was silent longest
//! gives way; nothing here waits or touches a disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{Offset, TopicPartition};

/// Readers that are remembered.
const READERS_MAX: usize = 1024;
/// A reader that was silent so long has left, or has reached what lies on the local disk.
const SILENT_MS: i64 = 30_000;
/// The rate is taken over at least this long.
const SLICE_MS: i64 = 2_000;
/// Longer names are cut.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// One consumer that reads the history of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The client's name for itself; empty when it has none.
    pub client_id: String,
    /// Where it is.
    pub client_host: IpAddr,
    /// Its group, once it has committed an offset of the partition.
    pub group: Option<String>,
    /// What it reads.
    pub partition: TopicPartition,
    /// The offset that it asked for last.
    pub offset: Offset,
    /// The time of the batch there, in milliseconds since 1970; -1 when it carries none.
    pub time_ms: i64,
    /// The offset after the last that consumers see.
    pub end_offset: Offset,
    /// Bytes of records that it was given out of the remote tier.
    pub bytes: u64,
    /// What it took lately.
    pub bytes_per_second: u64,
    /// When it came, in milliseconds since 1970.
    pub since_ms: i64,
}

/// What one fetch was given of one partition's history.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) partition: TopicPartition,
    pub(super) offset: Offset,
    pub(super) time_ms: i64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    client_id: Arc<str>,
    host: IpAddr,
    partition: TopicPartition,
}

impl Key {
    fn new(client_id: &str, host: IpAddr, partition: TopicPartition) -> Self {
        let end = client_id.floor_char_boundary(CLIENT_ID_BYTES_MAX);
        Self { client_id: Arc::from(&client_id[..end]), host, partition }
    }
}

#[derive(Debug)]
struct Reader {
    group: Option<Arc<str>>,
    offset: Offset,
    time_ms: i64,
    bytes: u64,
    since_ms: i64,
    read_ms: i64,
    slice_ms: i64,
    slice_bytes: u64,
    bytes_per_second: u64,
}

impl Reader {
    fn new(now_ms: i64) -> Self {
        Self {
            group: None,
            offset: Offset::ZERO,
            time_ms: -1,
            bytes: 0,
            since_ms: now_ms,
            read_ms: now_ms,
            slice_ms: now_ms,
            slice_bytes: 0,
            bytes_per_second: 0,
        }
    }

    fn read(&mut self, now_ms: i64, given: &Given) {
        (self.offset, self.time_ms, self.read_ms) = (given.offset, given.time_ms, now_ms);
        self.bytes += given.bytes;
        self.slice_bytes += given.bytes;
        let took = now_ms - self.slice_ms;
        if took >= SLICE_MS {
            self.bytes_per_second = self.slice_bytes.saturating_mul(1000) / took.unsigned_abs();
            (self.slice_ms, self.slice_bytes) = (now_ms, 0);
        }
    }

    fn is_silent(&self, now_ms: i64) -> bool {
        now_ms - self.read_ms >= SILENT_MS
    }

    /// In its first moments, what it took so far.
    fn rate(&self, now_ms: i64) -> u64 {
        match now_ms - self.slice_ms {
            took @ 1.. if self.bytes_per_second == 0 => {
                self.slice_bytes.saturating_mul(1000) / took.unsigned_abs()
            }
            _ => self.bytes_per_second,
        }
    }
}

/// The readers of one broker.
#[derive(Debug, Default)]
pub(super) struct Replays {
    readers: Mutex<HashMap<Key, Reader>>,
}

impl Replays {
    /// A client was given something of the history.
    pub(super) fn given(&self, now_ms: i64, client_id: &str, host: IpAddr, given: &Given) {
        let key = Key::new(client_id, host, given.partition.clone());
        let mut readers = self.readers.lock();
        if readers.len() >= READERS_MAX && !readers.contains_key(&key) {
            make_room(&mut readers, now_ms);
        }
        let reader = readers.entry(key).or_insert_with(|| Reader::new(now_ms));
        if reader.is_silent(now_ms) {
            *reader = Reader { group: reader.group.take(), ..Reader::new(now_ms) };
        }
        reader.read(now_ms, given);
    }

    /// A client has committed an offset of a partition for a group.
    pub(super) fn committed(
        &self,
        client_id: &str,
        host: IpAddr,
        group: &str,
        partitions: impl Iterator<Item = TopicPartition>,
    ) {
        let mut readers = self.readers.lock();
        if readers.is_empty() {
            return;
        }
        for partition in partitions {
            let key = Key::new(client_id, host, partition);
            if let Some(reader) = readers.get_mut(&key)
                && reader.group.as_deref() != Some(group)
            {
                reader.group = Some(Arc::from(group));
            }
        }
    }

    /// Those that read now, by partition and client; `end_of` tells where a partition ends.
    pub(super) fn now(
        &self,
        now_ms: i64,
        end_of: impl Fn(&TopicPartition) -> Option<Offset>,
    ) -> Vec<Replay> {
        let mut readers = self.readers.lock();
        readers.retain(|_, reader| !reader.is_silent(now_ms));
        let told = readers.iter().filter_map(|(key, reader)| {
            Some(Replay {
                client_id: key.client_id.to_string(),
                client_host: key.host,
                group: reader.group.as_deref().map(str::to_owned),
                partition: key.partition.clone(),
                offset: reader.offset,
                time_ms: reader.time_ms,
                // Of a topic that is gone nobody reads any more.
                end_offset: end_of(&key.partition)?,
                bytes: reader.bytes,
                bytes_per_second: reader.rate(now_ms),
                since_ms: reader.since_ms,
            })
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by(|a, b| {
            let place = |replay: &Replay| (replay.partition.clone(), replay.client_id.clone());
            place(a).cmp(&place(b)).then(a.client_host.cmp(&b.client_host))
        });
        told
    }
}

fn make_room(readers: &mut HashMap<Key, Reader>, now_ms: i64) {
    readers.retain(|_, reader| !reader.is_silent(now_ms));
    if readers.len() >= READERS_MAX {
        let oldest = readers.iter().min_by_key(|(_, reader)| reader.read_ms);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            readers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn given(partition: i32, offset: i64, bytes: u64) -> Given {
        let partition = TopicPartition::new("snow", partition);
        Given { partition, offset: Offset::new(offset), time_ms: offset * 10, bytes }
    }

    fn now(replays: &Replays, now_ms: i64) -> Vec<Replay> {
        replays.now(now_ms, |_| Some(Offset::new(100)))
    }

    #[test]
    fn a_reader_shows_where_it_is_and_how_fast_and_leaves_when_it_is_silent() {
        let replays = Replays::default();
        for second in 0..10 {
            replays.given(second * 1000, "c", HOST, &given(0, second, 5_000_000));
        }
        let shown = now(&replays, 9_000);
        assert_eq!(shown.len(), 1);
        let one = &shown[0];
        assert_eq!((one.offset.get(), one.time_ms, one.bytes), (9, 90, 50_000_000));
        assert_eq!(one.bytes_per_second, 5_000_000);
        assert_eq!((one.end_offset.get(), one.group.as_deref()), (100, None));
        assert!(now(&replays, 9_000 + SILENT_MS).is_empty());
    }

    #[test]
    fn a_commit_tells_the_group_of_that_partition_alone() {
        let replays = Replays::default();
        replays.given(0, "c", HOST, &given(0, 1, 1));
        replays.given(0, "c", HOST, &given(1, 1, 1));
        replays.committed("c", HOST, "g", std::iter::once(TopicPartition::new("snow", 1)));
        replays.committed("d", HOST, "h", std::iter::once(TopicPartition::new("snow", 0)));
        let groups: Vec<_> = now(&replays, 1).into_iter().map(|replay| replay.group).collect();
        assert_eq!(groups, [None, Some("g".to_owned())]);
    }

    #[test]
    fn a_thousand_and_more_readers_are_a_thousand_and_the_silent_ones_give_way() {
        let replays = Replays::default();
        for number in 0..2 * READERS_MAX as i32 {
            replays.given(i64::from(number), "c", HOST, &given(number, 1, 1));
        }
        let shown = now(&replays, 2_048);
        assert_eq!(shown.len(), READERS_MAX);
        assert_eq!(shown[0].partition.partition, READERS_MAX as i32, "the latest are left");
    }

    #[test]
    fn who_comes_back_after_a_pause_begins_anew_in_the_same_group() {
        let replays = Replays::default();
        replays.given(0, "c", HOST, &given(0, 1, 7));
        replays.committed("c", HOST, "g", std::iter::once(TopicPartition::new("snow", 0)));
        replays.given(SILENT_MS, "c", HOST, &given(0, 2, 9));
        let shown = now(&replays, SILENT_MS);
        assert_eq!((shown[0].bytes, shown[0].since_ms), (9, SILENT_MS));
        assert_eq!(shown[0].group.as_deref(), Some("g"));
    }
}
