//! Objects of a folder store, opened where they lie: no copy goes through a cache.
//!
//! Invariant: a byte is handed out only after its block was found right once since the object was
//! opened. The check reads the block, so the pages are in memory when the caller sends them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::bundle::BlockChecks;
use crate::store::WrongBytes;

/// One object that is open.
pub(super) struct OpenedObject {
    file: Arc<File>,
    verified: Mutex<Vec<bool>>,
}

/// Why an opened object cannot be handed out.
pub(super) enum OpenedError {
    Wrong(WrongBytes),
    Io(io::Error),
}

impl From<io::Error> for OpenedError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl OpenedObject {
    pub(super) fn open(path: &Path, checks: &BlockChecks) -> Result<Self, OpenedError> {
        let file = File::open(path)?;
        let (expected, received) = (checks.size(), file.metadata()?.len());
        if received != expected {
            return Err(OpenedError::Wrong(WrongBytes::Length { expected, received }));
        }
        let blocks = usize::try_from(checks.blocks()).unwrap_or(usize::MAX);
        Ok(Self { file: Arc::new(file), verified: Mutex::new(vec![false; blocks]) })
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Reads and checks the blocks of `range` that were not checked yet. Blocks.
    pub(super) fn verify(
        &self,
        checks: &BlockChecks,
        range: &Range<u64>,
    ) -> Result<(), OpenedError> {
        let block_bytes = checks.block_bytes();
        let blocks = range.start / block_bytes..range.end.div_ceil(block_bytes);
        let mut bytes = vec![0; usize::try_from(block_bytes).unwrap_or(0)];
        for block in blocks {
            let slot = usize::try_from(block).unwrap_or(usize::MAX);
            if self.verified.lock().get(slot) == Some(&true) {
                continue;
            }
            let position = block * block_bytes;
            let length = block_bytes.min(checks.size() - position);
            let bytes = &mut bytes[..usize::try_from(length).unwrap_or(0)];
            self.file.read_exact_at(bytes, position)?;
            if !checks.is_right(block, bytes) {
                return Err(OpenedError::Wrong(WrongBytes::Checksum { position }));
            }
            if let Some(verified) = self.verified.lock().get_mut(slot) {
                *verified = true;
            }
        }
        Ok(())
    }
}
