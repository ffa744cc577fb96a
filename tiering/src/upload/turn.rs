//! Whose upload it is: so many go on at a time, and one that waits for a rate of its own is none of them.
//!
//! Invariant: an upload that waits for its own rate holds no turn and no bytes of the log.

use futures::FutureExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::OffloadError;
use crate::config::Pace;
use crate::steps::{Step, Stopped};
use crate::tiering::Tiering;

/// One of the uploads that may go on at a time, and the rate that this one keeps to by itself.
pub struct UploadTurn<'a> {
    uploads: &'a Semaphore,
    own: &'a dyn Pace,
    held: Option<SemaphorePermit<'a>>,
}

impl Tiering {
    /// Waits until `own` lets more bytes through, and then for a turn. The upload asks `own` before all
    /// that it sends, and [`crate::TieringConfig::pace`] after it; while `own` holds it back, its turn
    /// is another's.
    ///
    /// # Errors
    /// When the owner stops.
    pub async fn upload_turn<'a>(&'a self, own: &'a dyn Pace) -> Result<UploadTurn<'a>, Stopped> {
        own.admit(0).await;
        let mut turn = UploadTurn { uploads: &self.uploads, own, held: None };
        turn.take().await?;
        Ok(turn)
    }
}

impl UploadTurn<'_> {
    async fn take(&mut self) -> Result<(), Stopped> {
        // The semaphore is never closed: an error means the same as being stopped.
        let held = self.uploads.acquire().await.map_err(|_| Stopped(Step::IntentWritten))?;
        self.held = Some(held);
        Ok(())
    }

    /// Returns when the upload's own rate lets `bytes` more through. If that is not at once, `settled` is
    /// awaited first: what is on its way arrives while the turn is held.
    pub(super) async fn admit(
        &mut self,
        bytes: u64,
        settled: impl Future<Output = Result<(), OffloadError>>,
    ) -> Result<(), OffloadError> {
        let mut admitted = self.own.admit(bytes);
        if (&mut admitted).now_or_never().is_some() {
            return Ok(());
        }
        settled.await?;
        self.held = None;
        admitted.await;
        Ok(self.take().await?)
    }
}
