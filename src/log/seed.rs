//! What a log finds that is opened in an empty folder and goes on where a lost one was uploaded to.
//!
//! Invariant: the folder has no segment. The log that is opened there begins at `at`, knows the
//! epochs of what lies below, and recognises what its producers send again.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::checkpoint::{replace, sync_folder_of};
use super::epochs::write_leader_epochs;
use super::file_names::{FileKind, path};
use super::partition_metadata;
use crate::env::Edges;
use crate::model::{LeaderEpoch, Offset, TopicId};

/// The state of a log below its first local offset.
#[derive(Clone, Debug)]
pub struct LogSeed {
    /// The topic's identity.
    pub topic_id: TopicId,
    /// Where the log goes on.
    pub at: Offset,
    /// The epochs of the offsets below, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The producers' states at that offset, as a snapshot file holds them.
    pub producers: Option<Bytes>,
}

impl LogSeed {
    /// Writes the files into `folder`, which is made. Blocking.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, folder: &Path, edges: &dyn Edges) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        sync_folder_of(folder)?;
        write_leader_epochs(folder, &self.epochs, edges)?;
        if let Some(producers) = &self.producers {
            replace(&path(folder, self.at, FileKind::ProducerSnapshot), producers, edges)?;
        }
        partition_metadata::write(folder, self.topic_id, edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::NoEdges;
    use crate::log::{Log, LogConfig, LogEnv, OpenAt, SnapshotEntry, producer_snapshot};
    use crate::model::{ProducerEpoch, ProducerId, Sequence};
    use crate::record::{BatchBuilder, Codec, NewRecord};

    #[test]
    fn a_log_goes_on_after_what_is_elsewhere_with_its_epochs_and_producers() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("t-0");
        let entry = SnapshotEntry {
            producer: ProducerId(7),
            epoch: ProducerEpoch(0),
            last_sequence: Sequence(4),
            last_offset: Offset::new(99),
            offset_delta: 0,
            appended_ms: 5,
        };
        let at = Offset::new(100);
        let seed = LogSeed {
            topic_id: TopicId::random(),
            at,
            epochs: vec![(LeaderEpoch::new(3), Offset::new(40))],
            producers: Some(producer_snapshot::encode(&[entry]).into()),
        };
        seed.write(&folder, &NoEdges).expect("seed");
        let open = OpenAt { log_start: Offset::new(40), empty_start: at, ..OpenAt::default() };
        let (log, _) =
            Log::open(&folder, LogConfig::default(), open, LogEnv::real()).expect("open");
        assert_eq!((log.log_start().get(), log.log_end()), (40, at));
        assert_eq!(log.epoch_at(Offset::new(99)), Some(LeaderEpoch::new(3)));
        let again = |sequence| {
            let producer = (ProducerId(7), ProducerEpoch(0), Sequence(sequence));
            let builder = BatchBuilder::new(Codec::None);
            let mut builder = builder.idempotent(producer.0, producer.1, producer.2);
            builder.push(&NewRecord { value: Some(b"x"), ..NewRecord::default() });
            let batch = builder.build().expect("batch");
            log.append(&[batch], LeaderEpoch::new(9), 6).remove(0).expect("append")
        };
        let known = again(4);
        assert!(known.duplicate && known.base_offset.get() == 99, "it was uploaded");
        assert_eq!(again(5).base_offset, at);
    }
}
