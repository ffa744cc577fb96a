//! Produces the demo's records, a batch for each partition in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::records::{Made, Plan};
use crate::cli::client::{ClientError, Connection, Producer, Topic};
use crate::record::NewRecord;

const BATCH_BYTES: usize = 256 << 10;

/// Writes all of them; `written` counts bytes of values meanwhile.
pub(super) async fn write(
    connection: &mut Connection,
    topic: &Topic,
    plan: Plan,
    written: Arc<AtomicU64>,
) -> Result<(), ClientError> {
    let mut producer = Producer::open(connection, topic).await?;
    let mut next = vec![0; plan.partitions.unsigned_abs() as usize];
    let mut made = Made::default();
    while next.iter().any(|number| *number < plan.records_each) {
        for (partition, number) in (0..).zip(&mut next) {
            let mut batch = producer.begin(partition);
            while *number < plan.records_each && batch.body_len() < BATCH_BYTES {
                made.make(partition, *number);
                let timestamp_ms = plan.timestamp_ms(*number);
                let (key, value) = (Some(made.key.as_bytes()), Some(made.value.as_slice()));
                batch.push(&NewRecord { timestamp_ms, key, value, headers: &[] });
                written.fetch_add(made.value.len() as u64, Ordering::Relaxed);
                *number += 1;
            }
            if batch.count() > 0 {
                producer.send(partition, &batch).await?;
            }
        }
    }
    producer.flush().await
}
