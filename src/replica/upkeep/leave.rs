//! A topic that tiers no more (`remote.storage.enable=false`, KIP-950): what only the remote tier
//! holds is given up, by permission (`remote.log.delete.on.disable=true`).
//!
//! The log start moves first, durably, to where the local log begins; then the remote tier is
//! cleared; then the partition has one tier. After a crash in between the manifest still has rows,
//! so the next start gives the partition its remote tier, and this goes on.

use std::sync::Arc;

use super::Error;
use crate::log::Tier;
use crate::replica::{Partition, Replicas};

/// Clears the remote tier of a partition, unless its topic tiers again by now.
pub(super) async fn partition(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
    tier: &Tier,
) -> Result<(), Error> {
    let _held = partition.local_copies().lock().await;
    if partition.config().remote_storage_enable() {
        return Ok(());
    }
    let start = partition.log().local_log_start();
    replicas.move_log_start(partition, start).await?;
    let gone = tier.tiering.delete_partition(&tier.key).await?;
    partition.log().set_tier(None, None);
    let (partition, segments, bytes) = (partition.name(), gone.segments, gone.bytes);
    tracing::info!(%partition, segments, bytes, log_start = %start, "the remote tier was cleared");
    Ok(())
}
