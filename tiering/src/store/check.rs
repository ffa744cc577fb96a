//! The start-up check: is the store there, and may we do what we shall have to do.

use bytes::Bytes;
use object_store::path::Path;

use super::{Store, StoreError, StoreKind};

/// Whether the bucket clears unfinished uploads away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartRule {
    /// It has a rule for that.
    Present,
    /// It has none: garbage collection is the only one to do it.
    Absent,
    /// The store cannot say, or uploads leave nothing behind in it.
    Unknown(String),
}

/// What the start-up check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReport {
    /// Which kind of store.
    pub kind: StoreKind,
    /// Whether unfinished uploads are cleared away by a rule of the bucket.
    pub multipart_rule: MultipartRule,
}

/// Which part of the check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("{0}")]
    Bucket(StoreError),
    #[error("{0}")]
    Probe(StoreError),
}

/// What the probe object holds.
const PROBE: &[u8] = b"written by icecore to see whether it may\n";

impl Store {
    /// The bucket's name, when the store has buckets and can be asked about them.
    pub(crate) fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Reaches the bucket, then writes, reads and deletes a probe object. A store that is only read
    /// is only reached.
    pub(crate) async fn check(&self, probe: &Path) -> Result<StoreReport, CheckError> {
        if self.is_read_only() {
            return self.check_to_read().await;
        }
        let multipart_rule = match &self.admin {
            Some(admin) => {
                // A missing bucket and a missing key look the same later: asked once, here.
                admin.reach().await.map_err(CheckError::Bucket)?;
                admin.multipart_rule().await
            }
            None => MultipartRule::Unknown("not asked of this kind of store".into()),
        };
        match self.put(probe, Bytes::from_static(PROBE)).await {
            // The only thing that a write can miss.
            Err(error @ StoreError::NotFound { .. }) if self.bucket.is_some() => {
                return Err(CheckError::Bucket(error));
            }
            put => put.map_err(CheckError::Probe)?,
        }
        self.read_probe(probe).await.map_err(CheckError::Probe)?;
        Ok(StoreReport { kind: self.kind, multipart_rule })
    }

    async fn check_to_read(&self) -> Result<StoreReport, CheckError> {
        if let Some(admin) = &self.admin {
            admin.reach().await.map_err(CheckError::Bucket)?;
        }
        let multipart_rule = MultipartRule::Unknown("of no concern to a reader".into());
        Ok(StoreReport { kind: self.kind, multipart_rule })
    }

    async fn read_probe(&self, object: &Path) -> Result<(), StoreError> {
        let read = self.get_whole(object, PROBE.len() as u64).await?;
        if read != PROBE {
            let expected = crate::checksum::crc32c(PROBE);
            let wrong =
                super::WrongBytes::Whole { expected, found: crate::checksum::crc32c(&read) };
            return Err(StoreError::wrong_bytes(object, wrong));
        }
        self.delete(vec![object.clone()]).await
    }
}
