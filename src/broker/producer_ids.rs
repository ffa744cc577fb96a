//! Producer ids, taken from the store in blocks so that most producers cost no write. A block that
//! a crash cuts short leaves a gap, never an id given twice.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::metadata::{MetaStore, MetaStoreError};
use crate::model::ProducerId;

/// Ids taken at a time, as in Kafka.
const BLOCK_LEN: i64 = 1000;

/// Gives out producer ids.
pub(super) struct ProducerIds {
    store: Arc<dyn MetaStore>,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// Takes its blocks from `store`.
    pub(super) fn new(store: Arc<dyn MetaStore>) -> Self {
        Self { store, block: Mutex::new(0..0) }
    }

    /// An id that no producer ever had.
    ///
    /// # Errors
    /// When a new block is due and the store fails.
    pub(super) async fn next(&self) -> Result<ProducerId, MetaStoreError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = self.store.take_producer_ids(BLOCK_LEN).await?;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerId(id))
    }
}
