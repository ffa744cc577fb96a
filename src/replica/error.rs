//! Hosting a partition failed.

use std::io;

use super::space::DiskTooSmall;
use crate::log::OpenLogError;
use crate::log::checkpoint::CheckpointError;

/// A topic's partitions could not all be hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A log did not open.
    #[error(transparent)]
    Log(#[from] OpenLogError),
    /// The disk failed.
    #[error("partition folder {folder}: {source}")]
    Folder {
        /// Which folder.
        folder: String,
        /// What the disk says.
        source: io::Error,
    },
    /// A checkpoint file is damaged, or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The watermarks do not fit the disk.
    #[error(transparent)]
    DiskTooSmall(#[from] DiskTooSmall),
    /// The manifest failed.
    #[error("the manifest cannot be read: {0}")]
    Manifest(#[from] icecore_tiering::ManifestError),
    /// The folder belongs to another topic of the same name.
    #[error("folder {folder} belongs to topic id {found}, not to {expected}: move it away")]
    ForeignFolder {
        /// Which folder.
        folder: String,
        /// Whose it is.
        found: icecore_tiering::TopicId,
        /// Whose it should be.
        expected: icecore_tiering::TopicId,
    },
}

/// What a dropped topic left could not all be removed; it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The disk failed.
    #[error("the folders of a deleted topic cannot be removed: {0}")]
    Folder(#[from] io::Error),
    /// The store or the manifest failed.
    #[error("the objects of a deleted topic cannot be removed: {0}")]
    Remote(#[from] icecore_tiering::DeleteError),
}
