//! One upload in parts.
//!
//! Invariant: an upload that is neither completed nor aborted is aborted when it is dropped. The
//! client library does not do so, and what is left is billed on S3 and listed on HDFS.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload};

use super::{Fence, StoreCall, StoreError, StoreSettings};
use crate::counters::Counters;

pub(crate) struct Multipart {
    upload: Option<Box<dyn MultipartUpload>>,
    object: Path,
    settings: StoreSettings,
    counters: Arc<Counters>,
    fence: Arc<Fence>,
}

impl Multipart {
    pub(super) fn new(
        upload: Box<dyn MultipartUpload>,
        object: Path,
        settings: &StoreSettings,
        counters: Arc<Counters>,
        fence: Arc<Fence>,
    ) -> Self {
        Self { upload: Some(upload), object, settings: settings.clone(), counters, fence }
    }

    /// Sends the next part. The future may be awaited beside those of other parts.
    pub(crate) fn put_part(
        &mut self,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let deadline = self.settings.deadline(bytes.len() as u64);
        let part =
            self.upload.as_mut().map(|upload| upload.put_part(PutPayload::from_bytes(bytes)));
        let (object, counters) = (self.object.clone(), Arc::clone(&self.counters));
        async move {
            match part {
                Some(part) => within(deadline, &object, &counters, part).await,
                None => Ok(()),
            }
        }
    }

    /// Makes the object of the parts. `bytes` is their sum: some stores copy them together.
    pub(crate) async fn complete(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        let object = self.object.to_string();
        self.fence.check().map_err(|reason| StoreError::NotOwner { object, reason })?;
        let deadline = self.settings.deadline(bytes);
        let completed = within(deadline, &self.object, &self.counters, upload.complete()).await;
        completed?;
        self.upload = None;
        Ok(())
    }

    /// Gives the upload up. A failure is logged: garbage collection finds what is left.
    pub(crate) async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(upload, &self.object, self.settings.deadline(0), &self.counters).await;
        }
    }
}

impl Multipart {
    /// Leaves the upload unfinished in the store, as a crash would.
    pub(crate) fn leave(mut self) {
        self.upload = None;
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (object, deadline) = (self.object.clone(), self.settings.deadline(0));
        let counters = Arc::clone(&self.counters);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { abort(upload, &object, deadline, &counters).await });
        }
    }
}

async fn abort(
    mut upload: Box<dyn MultipartUpload>,
    object: &Path,
    deadline: Duration,
    counters: &Counters,
) {
    if let Err(error) = within(deadline, object, counters, upload.abort()).await {
        tracing::warn!(%error, "an upload could not be aborted; garbage collection will");
    }
}

async fn within<T>(
    after: Duration,
    object: &Path,
    counters: &Counters,
    work: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StoreError> {
    let call = StoreCall::Multipart;
    match tokio::time::timeout(after, work).await {
        Ok(answer) => answer.map_err(|error| StoreError::from_client(call, object, &error)),
        Err(_) => {
            counters.timeouts.bump();
            Err(StoreError::TimedOut { call, object: object.to_string(), after })
        }
    }
}
