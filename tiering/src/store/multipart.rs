//! One upload in parts.
//!
//! Invariant: an upload that is neither completed nor aborted is aborted when it is dropped. The
//! client library does not do so, and what is left is billed on S3 and listed on HDFS.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload};

use super::calls::Calls;
use super::{Fence, StoreCall, StoreError};

/// An upload under way. Nothing of it can be read before [`Multipart::complete`].
pub struct Multipart {
    upload: Option<Box<dyn MultipartUpload>>,
    object: Path,
    calls: Arc<Calls>,
    fence: Arc<Fence>,
}

impl Multipart {
    pub(super) fn new(
        upload: Box<dyn MultipartUpload>,
        object: Path,
        calls: Arc<Calls>,
        fence: Arc<Fence>,
    ) -> Self {
        Self { upload: Some(upload), object, calls, fence }
    }

    /// Sends the next part. The future may be awaited beside those of other parts.
    ///
    /// # Errors
    /// What the store says; the upload can only be aborted then.
    pub fn put_part(
        &mut self,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let length = bytes.len() as u64;
        let part =
            self.upload.as_mut().map(|upload| upload.put_part(PutPayload::from_bytes(bytes)));
        let (object, calls) = (self.object.clone(), Arc::clone(&self.calls));
        async move {
            match part {
                Some(part) => calls.make(StoreCall::Multipart, &object, length, part).await,
                None => Ok(()),
            }
        }
    }

    /// Makes the object of the parts. `bytes` is their sum: some stores copy them together.
    ///
    /// # Errors
    /// What the store says. After [`StoreError::TimedOut`] the object may be there all the same.
    pub async fn complete(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        let object = self.object.to_string();
        self.fence.check().map_err(|reason| StoreError::NotOwner { object, reason })?;
        let complete = upload.complete();
        self.calls.make(StoreCall::Multipart, &self.object, bytes, complete).await?;
        self.upload = None;
        Ok(())
    }

    /// Gives the upload up. A failure is logged: garbage collection finds what is left.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(upload, &self.object, &self.calls).await;
        }
    }

    /// Leaves the upload unfinished in the store, as a crash would.
    pub(crate) fn leave(mut self) {
        self.upload = None;
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (object, calls) = (self.object.clone(), Arc::clone(&self.calls));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { abort(upload, &object, &calls).await });
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>, object: &Path, calls: &Calls) {
    if let Err(error) = calls.make(StoreCall::Multipart, object, 0, upload.abort()).await {
        tracing::warn!(%error, "an upload could not be aborted; garbage collection will");
    }
}

impl std::fmt::Debug for Multipart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Multipart").field("object", &self.object).finish_non_exhaustive()
    }
}
