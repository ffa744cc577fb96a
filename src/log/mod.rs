//! The segment engine: one partition's records on the local disk, in Kafka's formats.
//!
//! Read it from [`Log`]: `partition_log` is what readers see, `write` what the writer does,
//! `recovery` how it begins, `follow` how it moves where another broker writes. `segment` and `index` are its
//! files.

pub mod checkpoint;
mod epochs;
mod error;
mod extent_of;
mod file_names;
mod follow;
mod index;
#[cfg(test)]
mod model_test;
mod options;
mod partition_log;
pub mod partition_metadata;
mod producer_snapshot;
mod producers;
mod recovery;
pub mod retention;
mod seed;
mod segment;
mod tiered;
mod write;

pub use epochs::{parse_leader_epochs, text_of as leader_epochs_text};
pub use error::{AppendError, OpenLogError, ReadError};
pub use extent_of::LocalExtent;
pub use file_names::FileKind;
pub use index::{
    OFFSET_ENTRY_LEN, OffsetEntry, TIME_ENTRY_LEN, TimeEntry, read_offset_entry, read_time_entry,
};
pub use options::{LogConfig, LogEnv, OpenAt};
pub use partition_log::Log;
pub use producer_snapshot::{
    SnapshotEntry, decode as decode_producer_snapshot, empty as empty_producer_snapshot,
};
pub use producers::ProducerError;
pub use recovery::RecoveryReport;
pub use seed::LogSeed;
pub use segment::{Extent, LogSlice, OpenSegments, Sealed, TimestampedOffset};
pub use tiered::{BatchInspector, Tier, TieredLog, TieredRead};
pub use write::Appended;
