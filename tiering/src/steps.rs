//! Named points between the steps of an operation, where its owner can stop it.
//!
//! A crash between two steps is the one thing that decides whether a protocol is right, so every
//! edge has a name. The broker uses the hook to leave an upload early on shutdown; the crash tests
//! use it to die at each edge in turn. There is no global: the hook is a value in the
//! configuration.

/// An edge between two steps. What is durable when it is reached is told for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The row says `uploading`; no object exists.
    IntentWritten,
    /// The `.index` object is written.
    IndexWritten,
    /// A multipart upload of the `.log` object has begun and holds at least one part.
    LogPartWritten,
    /// The `.log` object is complete.
    LogWritten,
    /// Both objects are verified; the row still says `uploading`.
    Verified,
    /// The row says `live`.
    MarkedLive,
    /// The rows say `deleting`; every object still exists.
    DeletionMarked,
    /// The `.log` objects are deleted, the `.index` objects are not.
    LogsDeleted,
    /// All objects are deleted; the rows still say `deleting`.
    ObjectsDeleted,
    /// Garbage collection has decided what to remove and removed nothing.
    GarbageFound,
    /// Reconcile has read the store and written nothing.
    StoreRead,
    /// A chunk is written into its slot of the read cache; the index names the one before it.
    ChunkWritten,
    /// The index names the chunk; it cannot be found yet.
    ChunkRecorded,
}

impl Step {
    /// Every step, in the order of an upload, a deletion, a collection, a reconcile and a fill.
    pub const ALL: [Self; 13] = [
        Self::IntentWritten,
        Self::IndexWritten,
        Self::LogPartWritten,
        Self::LogWritten,
        Self::Verified,
        Self::MarkedLive,
        Self::DeletionMarked,
        Self::LogsDeleted,
        Self::ObjectsDeleted,
        Self::GarbageFound,
        Self::StoreRead,
        Self::ChunkWritten,
        Self::ChunkRecorded,
    ];
}

/// The operation was stopped at a step by its owner; what was done so far stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped at step {0:?}")]
pub struct Stopped(pub Step);

/// Told of every step as it is reached.
pub trait Steps: Send + Sync + 'static {
    /// Returns whether to go on.
    ///
    /// # Errors
    /// [`Stopped`] ends the operation here, with nothing cleaned up, as a crash would.
    fn reached(&self, step: Step) -> Result<(), Stopped>;
}

/// Never stops anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunThrough;

impl Steps for RunThrough {
    fn reached(&self, _step: Step) -> Result<(), Stopped> {
        Ok(())
    }
}
