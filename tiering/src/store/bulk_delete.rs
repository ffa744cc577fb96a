//! Deletions, many objects at a time.
//!
//! Invariant: what is not known to be gone counts as left, and is named by the error.

use futures::{StreamExt as _, stream};
use object_store::path::Path;

use super::{Store, StoreCall, StoreError};

/// What Azure takes in one request; S3 takes more. A request that fails is one error, however many
/// objects it names: were several under way, nobody could tell whose it is. A slow server is not asked
/// for more than it can do within a deadline, either.
const DELETED_AT_ONCE: usize = 256;

impl Store {
    /// Deletes objects; one that is not there counts as deleted. On an error any of them may be
    /// left, and the call is to be made again.
    ///
    /// # Errors
    /// What the store says of the first object that is left.
    pub async fn delete(&self, objects: Vec<Path>) -> Result<(), StoreError> {
        for batch in objects.chunks(DELETED_AT_ONCE) {
            self.delete_batch(batch.to_vec()).await?;
        }
        Ok(())
    }

    async fn delete_batch(&self, objects: Vec<Path>) -> Result<(), StoreError> {
        const TRIES: usize = 2;
        let mut left = objects;
        for attempt in 1..=TRIES {
            match self.delete_once(&left).await {
                Ok(()) => return Ok(()),
                Err((failed, error)) if attempt == TRIES || !error.may_pass() => {
                    self.counters.delete_errors.add(failed.len() as u64);
                    return Err(error);
                }
                Err((failed, _)) => left = failed,
            }
        }
        Ok(())
    }

    /// One bulk delete. The library's stream answers in the order of the request; after an error
    /// that is not about one object, all that was not answered counts as failed.
    async fn delete_once(&self, objects: &[Path]) -> Result<(), (Vec<Path>, StoreError)> {
        let Some(first) = objects.first() else { return Ok(()) };
        self.check_fence(first).map_err(|not_owner| (objects.to_vec(), not_owner))?;
        let begun = self.calls.begin(StoreCall::Delete, first);
        let mut attempt = begun.map_err(|left_alone| (objects.to_vec(), left_alone))?;
        let request = stream::iter(objects.to_vec()).map(Ok).boxed();
        let mut answers = self.inner.delete_stream(request);
        let mut failed = Vec::new();
        let mut reason = None;
        for (at, object) in objects.iter().enumerate() {
            // Stores without a bulk delete are sent one object after the other.
            if let Err(error) = self.check_fence(object) {
                failed.extend_from_slice(&objects[at..]);
                reason.get_or_insert(error);
                break;
            }
            let next = async {
                let answer = answers.next().await.transpose();
                answer.map_err(|e| StoreError::from_client(StoreCall::Delete, object, &e))
            };
            attempt.about(object);
            match attempt.step(0, next).await {
                Ok(Some(_)) => self.counters.deletes.bump(),
                Err(StoreError::NotFound { .. }) => {}
                Ok(None) => {
                    failed.extend_from_slice(&objects[at..]);
                    break;
                }
                // The answers to come are lost with this one.
                Err(error @ StoreError::TimedOut { .. }) => {
                    failed.extend_from_slice(&objects[at..]);
                    reason.get_or_insert(error);
                    break;
                }
                Err(error) => {
                    failed.push(object.clone());
                    reason.get_or_insert(error);
                }
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        let cut_short = || StoreError::Unavailable {
            call: StoreCall::Delete,
            object: first.to_string(),
            detail: "the answer ended early".into(),
        };
        Err((failed, reason.unwrap_or_else(cut_short)))
    }
}
