//! Named edges between the steps of disk operations.
//!
//! A crash between two steps is what decides whether a protocol is right, so each edge has a name,
//! and a test can end the process's work at any of them. The hook is a value that its owner hands
//! in, never a global.

use std::io;

/// An edge of the log's disk operations; what is durable when it is reached is told for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Batches are about to be written.
    BeforeAppend,
    /// Batches are written, their index entries are not.
    AfterAppend,
    /// The active segment is synced and trimmed; the next one does not exist.
    SealedBeforeNext,
    /// The next active segment exists; the producer snapshot at its base is written.
    NextCreated,
    /// A checkpoint's temporary file is written and synced; the old file is still in its place.
    CheckpointWritten,
    /// A segment's files are renamed to `.deleted`, none is unlinked.
    SegmentRenamed,
}

impl Edge {
    /// Every edge.
    pub const ALL: [Self; 6] = [
        Self::BeforeAppend,
        Self::AfterAppend,
        Self::SealedBeforeNext,
        Self::NextCreated,
        Self::CheckpointWritten,
        Self::SegmentRenamed,
    ];
}

/// Told of every edge as it is reached.
pub trait Edges: Send + Sync + 'static {
    /// Returns whether to go on.
    ///
    /// # Errors
    /// What the disk is to answer here; the operation ends as if the disk had failed.
    fn reached(&self, edge: Edge) -> io::Result<()>;
}

/// Never stops anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEdges;

impl Edges for NoEdges {
    fn reached(&self, _edge: Edge) -> io::Result<()> {
        Ok(())
    }
}
