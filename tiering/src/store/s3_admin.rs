//! What the object-store interface cannot ask S3: does the bucket exist, is there a lifecycle rule
//! for unfinished uploads, and which unfinished uploads are there.

use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::MultipartUpload;
use object_store::path::Path;

use super::{MultipartRule, StoreCall, StoreError, detail};

/// The S3 SDK, on one bucket. Its client has time-outs set.
#[derive(Clone, Debug)]
pub(crate) struct S3Admin {
    client: Client,
    bucket: String,
}

impl S3Admin {
    pub(super) fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Whether the bucket is there and answers.
    pub(super) async fn reach(&self) -> Result<(), StoreError> {
        let head = self.client.head_bucket().bucket(&self.bucket).send().await;
        head.map(drop).map_err(|error| self.sort(StoreCall::Bucket, &self.bucket, &error))
    }

    /// Whether the bucket clears unfinished uploads away by itself. Many stores that speak S3
    /// cannot say.
    pub(super) async fn multipart_rule(&self) -> MultipartRule {
        let get = self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket);
        match get.send().await {
            Ok(found) => {
                let aborts = |rule: &aws_sdk_s3::types::LifecycleRule| {
                    rule.abort_incomplete_multipart_upload().is_some()
                };
                match found.rules().iter().any(aborts) {
                    true => MultipartRule::Present,
                    false => MultipartRule::Absent,
                }
            }
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => {
                MultipartRule::Absent
            }
            Err(error) => MultipartRule::Unknown(detail(&DisplayErrorContext(&error))),
        }
    }

    /// Unfinished uploads under `prefix` that began before a time: (name, upload id).
    pub(crate) async fn uploads_before(
        &self,
        prefix: &Path,
        before: SystemTime,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        let mut after: Option<(Option<String>, Option<String>)> = None;
        loop {
            let (key, id) = after.unwrap_or_default();
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(format!("{prefix}/"))
                .set_key_marker(key)
                .set_upload_id_marker(id)
                .send()
                .await
                .map_err(|error| self.sort(StoreCall::List, prefix.as_ref(), &error))?;
            found.extend(page.uploads().iter().filter_map(|upload| stale(upload, before)));
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || next == (None, None) {
                return Ok(found);
            }
            after = Some(next);
        }
    }

    /// Aborts an upload until no part of it is left: a part that was on its way while the upload
    /// was aborted can land after it.
    pub(crate) async fn abort_upload(&self, object: &str, upload: &str) -> Result<(), StoreError> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
            match abort.key(object).upload_id(upload).send().await {
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(()),
                Err(error) => return Err(self.sort(StoreCall::Multipart, object, &error)),
                Ok(_) => {}
            }
            let parts = self.client.list_parts().bucket(&self.bucket);
            match parts.key(object).upload_id(upload).send().await {
                Err(error) if error.code() == Some("NoSuchUpload") => return Ok(()),
                Err(error) => return Err(self.sort(StoreCall::Multipart, object, &error)),
                Ok(left) if left.parts().is_empty() => return Ok(()),
                Ok(_) => {}
            }
        }
        Err(StoreError::Unavailable {
            call: StoreCall::Multipart,
            object: object.to_owned(),
            detail: "parts of an aborted upload keep arriving".into(),
        })
    }

    fn sort<E>(&self, call: StoreCall, object: &str, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let object = object.to_owned();
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let detail = detail(&DisplayErrorContext(error));
        match status {
            Some(404) => StoreError::NotFound { object },
            Some(401 | 403) => StoreError::Denied { call, object, detail },
            Some(408 | 429 | 500..) | None => StoreError::Unavailable { call, object, detail },
            Some(_) => StoreError::Refused { call, object, detail },
        }
    }
}

fn stale(upload: &MultipartUpload, before: SystemTime) -> Option<(String, String)> {
    let began = SystemTime::try_from(*upload.initiated()?).ok()?;
    if began > before {
        return None;
    }
    Some((upload.key()?.to_owned(), upload.upload_id()?.to_owned()))
}
