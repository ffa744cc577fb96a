//! How far a replay is, in a file that a later process goes on from.
//!
//! Invariant: what the file says is done, is done: it is written after the destination has made it
//! durable, and put in its place whole. What was done after it is known from the destination
//! itself, or is done again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::env::NoEdges;
use crate::log::checkpoint::replace;
use crate::model::Offset;

const VERSION: u32 = 1;

/// A replay and how far it is. Scripts rely on the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u32,
    /// What is replayed.
    pub(super) topic: String,
    pub(super) topic_id: String,
    /// Where to, in words.
    pub(super) destination: String,
    /// By number.
    pub(super) partitions: BTreeMap<i32, Part>,
    /// Records that are there.
    pub(super) records: u64,
    /// Bytes of the batches that they were read from.
    pub(super) bytes: u64,
    /// The length of the file that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_bytes: Option<u64>,
    /// The topic that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
    /// Whether all of it is there.
    pub(super) done: bool,
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// The first offset.
    pub(super) from: i64,
    /// The offset after the last.
    pub(super) to: i64,
    /// The first that is not known to be there.
    pub(super) next: i64,
    /// Records from there on that the topic has all the same: a process wrote them and died before
    /// its checkpoint.
    #[serde(default)]
    pub(super) ahead: u64,
}

/// Under which name a topic is written, and where that stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) topic_id: String,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) partitions: BTreeMap<i32, Written>,
}

/// One partition that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// The producer's number of its first record behind `end`.
    pub(super) sequence: i32,
    /// What the checkpoint knows of lies below this offset.
    pub(super) end: i64,
}

impl Checkpoint {
    /// Of a replay that has not begun.
    pub(super) fn new(
        (topic, topic_id): (String, String),
        destination: String,
        ranges: &BTreeMap<i32, (Offset, Offset)>,
    ) -> Self {
        let part = |(number, (from, to)): (&i32, &(Offset, Offset))| {
            let (from, to) = (from.get(), to.get().max(from.get()));
            (*number, Part { from, to, next: from, ahead: 0 })
        };
        Self {
            version: VERSION,
            topic,
            topic_id,
            destination,
            partitions: ranges.iter().map(part).collect(),
            records: 0,
            bytes: 0,
            file_bytes: None,
            target: None,
            done: false,
        }
    }

    /// Offsets in all, and those that are done.
    pub(super) fn offsets(&self) -> (u64, u64) {
        let sum = |of: fn(&Part) -> i64| {
            self.partitions.values().map(|part| of(part).unsigned_abs()).sum()
        };
        (sum(|part| part.to - part.from), sum(|part| part.next - part.from))
    }

    /// Whether every partition has reached its end.
    pub(super) fn has_ended(&self) -> bool {
        self.partitions.values().all(|part| part.next >= part.to)
    }

    /// Refuses to go on with the replay of something else.
    pub(super) fn check(&self, topic: (&str, &str), destination: &str) -> anyhow::Result<()> {
        let other = "remove it to begin anew, or give another --checkpoint";
        if self.topic != topic.0 || self.destination != destination {
            bail!(
                "the checkpoint is of a replay of {} to {}, and this is one of {} to {destination}: {other}",
                self.topic,
                self.destination,
                topic.0
            );
        }
        ensure!(
            self.topic_id == topic.1,
            "topic {} was deleted and made anew since the checkpoint was written: {other}",
            self.topic
        );
        Ok(())
    }
}

/// The file of a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct CheckpointFile(PathBuf);

impl CheckpointFile {
    /// At a path, which need not be there yet.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        // Its folder is synced: it has to have a name.
        let path = std::path::absolute(path);
        Ok(Self(path.context("--checkpoint names no file")?))
    }

    /// What it says; nothing when it is not there.
    pub(super) fn load(&self) -> anyhow::Result<Option<Checkpoint>> {
        let shown = self.0.display();
        let text = match std::fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read the checkpoint {shown}"))?,
        };
        let read: Checkpoint = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is no checkpoint of a replay"))?;
        ensure!(
            read.version == VERSION,
            "the checkpoint {shown} is of version {}, and this program knows {VERSION}",
            read.version
        );
        Ok(Some(read))
    }

    /// Puts a checkpoint in its place, durably.
    pub(super) fn save(&self, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(checkpoint)?;
        replace(&self.0, &text, &NoEdges)
            .with_context(|| format!("cannot write the checkpoint {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Checkpoint {
        let ranges = BTreeMap::from([(0, (Offset::new(5), Offset::new(9)))]);
        Checkpoint::new(("t".into(), "id".into()), "file x".into(), &ranges)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("dir");
        let file = CheckpointFile::at(&dir.path().join("c")).expect("a path");
        assert_eq!(file.load().expect("no file"), None);
        let mut checkpoint = fresh();
        file.save(&checkpoint).expect("save");
        checkpoint.file_bytes = Some(7);
        file.save(&checkpoint).expect("save over it");
        assert_eq!(file.load().expect("load"), Some(checkpoint));
        std::fs::write(dir.path().join("c"), "not this").expect("write");
        assert!(file.load().expect_err("garbage").to_string().contains("is no checkpoint"));
    }

    #[test]
    fn another_replay_is_refused_in_words() {
        let checkpoint = fresh();
        assert!(checkpoint.check(("t", "id"), "file x").is_ok());
        for (topic, destination, words) in [
            (("u", "id"), "file x", "a replay of t to file x, and this is one of u"),
            (("t", "id"), "file y", "to file y"),
            (("t", "new"), "file x", "made anew"),
        ] {
            let told = checkpoint.check(topic, destination).expect_err(words).to_string();
            assert!(told.contains(words) && told.contains("--checkpoint"), "{told}");
        }
    }

    #[test]
    fn offsets_tell_how_far_it_is() {
        let mut checkpoint = fresh();
        assert_eq!((checkpoint.offsets(), checkpoint.has_ended()), ((4, 0), false));
        if let Some(part) = checkpoint.partitions.get_mut(&0) {
            part.next = 9;
        }
        assert_eq!((checkpoint.offsets(), checkpoint.has_ended()), ((4, 4), true));
    }
}
