//! Partitions that another broker writes: what it uploaded is read here, and nothing else is done to it.
//!
//! Invariant: the log of a followed partition has no record on this disk ([`crate::log::Log::follow`]),
//! so its folder can be made anew at every start. What is of worth in it (leader epochs) is in the
//! remote tier.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use icecore_tiering::ManifestError;

use super::hosted::Replicas;
use super::partition::{FollowTo, Partition};
use crate::log::{AppendError, partition_metadata};
use crate::metadata::TopicImage;
use crate::model::Offset;

/// A followed partition could not be brought to where its leader is.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The disk failed.
    #[error("a followed partition cannot be moved: {0}")]
    Io(#[from] io::Error),
    /// The log start cannot be moved.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Replicas {
    /// Removes the folders that no hosted partition has: those of partitions that were followed in
    /// the last run.
    ///
    /// # Errors
    /// What the disk says; also when such a folder holds records, which none of a followed partition
    /// does: it is left alone.
    pub async fn remove_unhosted(&self) -> io::Result<()> {
        let hosted: Vec<_> = self.all().iter().map(|one| one.name().to_string()).collect();
        let log_dir = self.log_dir().to_owned();
        let remove = move || {
            for entry in fs::read_dir(&log_dir)? {
                let folder = entry?.path();
                let is_one = folder.join(partition_metadata::METADATA_FILE).exists();
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                if !is_one || hosted.iter().any(|hosted| *hosted == name) {
                    continue;
                }
                if has_records(&folder)? {
                    let what = format!("{} holds records: move it away", folder.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                fs::remove_dir_all(&folder)?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(remove).await.map_err(io::Error::other)?
    }

    /// Brings a followed partition to where its leader is.
    ///
    /// # Errors
    /// What the disk says; call again.
    pub async fn follow(&self, partition: &Arc<Partition>, to: FollowTo) -> Result<(), MoveError> {
        let partition = partition.clone();
        let moved = tokio::task::spawn_blocking(move || partition.follow(to)).await;
        Ok(moved.map_err(io::Error::other).flatten()?)
    }

    /// Moves the log start of a followed partition, which has to be no later than its end, and forgets
    /// the segments below it. It is durable with the next checkpoint; a start asks the leader's word
    /// again anyway.
    ///
    /// # Errors
    /// When the manifest fails: the log start has moved.
    pub async fn follow_log_start(
        &self,
        partition: &Arc<Partition>,
        start: Offset,
    ) -> Result<(), MoveError> {
        let (moving, log) = (partition.clone(), partition.log());
        if start > log.log_start() {
            let moved = move || moving.log().local().move_log_start(start);
            tokio::task::spawn_blocking(moved).await.map_err(io::Error::other)??;
        }
        if let Some(tier) = log.tier() {
            tier.tiering.withdraw_below(&tier.key, start).await?;
        }
        Ok(())
    }

    /// Stops hosting a topic that its leader's cluster has no more.
    ///
    /// # Errors
    /// What the disk or the manifest says: the topic is not served any more in any case.
    pub async fn drop_followed(self: &Arc<Self>, topic: &TopicImage) -> Result<(), MoveError> {
        let named =
            |name: crate::model::TopicPartition| self.partition(&name.topic, name.partition);
        let partitions: Vec<_> = topic.topic_partitions().filter_map(named).collect();
        self.drop_topic(topic).await;
        self.remove_folders(topic).await?;
        for partition in partitions {
            if let Some(tier) = partition.log().tier() {
                tier.tiering.withdraw_below(&tier.key, Offset::new(i64::MAX)).await?;
            }
        }
        Ok(())
    }
}

fn has_records(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log && path.metadata()?.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::has_records;

    #[test]
    fn a_folder_with_a_byte_of_records_is_told_from_one_without() {
        let dir = tempfile::tempdir().expect("dir");
        for empty in ["1.log", "1.index"] {
            std::fs::write(dir.path().join(empty), b"").expect("write");
        }
        std::fs::write(dir.path().join("1.timeindex"), b"x").expect("write");
        assert!(!has_records(dir.path()).expect("look"));
        std::fs::write(dir.path().join("2.log"), b"x").expect("write");
        assert!(has_records(dir.path()).expect("look"));
    }
}
