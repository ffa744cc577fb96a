//! A range of a file that someone may send without reading it.
//!
//! The file stays open as long as a slice of it lives, so a segment that is deleted meanwhile is
//! still readable. Whoever truncates or overwrites a file in place must not have handed it out.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

/// `len` bytes of `file` from `position` on. Cheap to clone.
#[derive(Clone)]
pub struct FileSlice {
    /// Opened for reading; only positioned reads are done with it.
    pub file: Arc<File>,
    /// The first byte's place in the file.
    pub position: u64,
    /// Bytes; the slice ends at `position + len`.
    pub len: u64,
    /// What others send goes first: somebody replays history.
    pub gives_way: bool,
    /// What must live as long as the slice is being sent, such as a place in a cache.
    pub pin: Option<Arc<dyn Any + Send + Sync>>,
}

impl FileSlice {
    /// A slice that pins nothing but the open file, and gives way to nobody.
    #[must_use]
    pub fn new(file: Arc<File>, position: u64, len: u64) -> Self {
        Self { file, position, len, gives_way: false, pin: None }
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSlice")
            .field("position", &self.position)
            .field("len", &self.len)
            .field("gives_way", &self.gives_way)
            .field("pinned", &self.pin.is_some())
            .finish_non_exhaustive()
    }
}
