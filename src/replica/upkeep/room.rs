//! Looks at the disk, and makes room on it when it is short: topics with
//! `tiering.disk.full.policy=drop-uploaded-first` give up their oldest local segments, early.
//!
//! What goes is what the manifest vouches for, by the same steps as local retention: nothing that the
//! object store lacks, whatever the disk needs. When nothing of that kind is left, active segments are
//! rolled, so that there will be once they are uploaded.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, Upkeep, retain, room_plan};
use crate::config::DiskFullPolicy;
use crate::log::Tier;
use crate::log::retention::Candidate;
use crate::replica::{Partition, Replicas};

/// How often the disk is looked at. Between two looks it is reckoned with what was let in.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Looks at the disk; makes room if it is short.
pub(super) async fn look(upkeep: &Upkeep) {
    let replicas = &upkeep.replicas;
    let space = replicas.space();
    let written = space.written_so_far();
    let (total, free) = match replicas.disk_space().await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "the free space of the disk is not known");
            return;
        }
    };
    let (short, news) = space.looked(written, total, free);
    if short {
        make_room(upkeep).await;
    }
    let report = space.report();
    match (short, news) {
        (true, true) => tracing::warn!(
            free,
            low = report.marks.low,
            high = report.marks.high,
            "the disk is short of room: tiering.disk.full.policy counts until `high` bytes are free"
        ),
        (false, true) => tracing::info!(free, "the disk has room again: all producers are let in"),
        (_, false) => {}
    }
}

/// A partition that gives up what is uploaded.
struct Giving {
    partition: Arc<Partition>,
    tier: Arc<Tier>,
}

async fn make_room(upkeep: &Upkeep) {
    let space = upkeep.replicas.space();
    let giving = giving(&upkeep.replicas);
    let uploaded: Vec<_> = giving.iter().map(|giving| uploaded(&giving.partition)).collect();
    let dry = uploaded.iter().all(Vec::is_empty);
    space.note_dry(dry);
    let going = room_plan::choose(&uploaded, space.missing());
    for ((giving, uploaded), count) in giving.iter().zip(&uploaded).zip(going) {
        let name = giving.partition.name();
        if upkeep.freeing.is_waiting(name) {
            continue;
        }
        let done = match uploaded[..count].last() {
            Some(last) => drop_until(&upkeep.replicas, giving, last).await,
            None if dry => roll(&giving.partition).await,
            None => Ok(()),
        };
        match done {
            Ok(()) => upkeep.freeing.succeeded(name),
            Err(error) => {
                let failures = upkeep.freeing.failed(name, &error);
                tracing::warn!(partition = %name, %error, failures, "no room was made and it is tried again");
            }
        }
    }
}

/// The partitions of topics that drop what is uploaded.
fn giving(replicas: &Replicas) -> Vec<Giving> {
    let gives = |partition: Arc<Partition>| {
        let config = partition.config();
        let drops = config.disk_full_policy() == DiskFullPolicy::DropUploadedFirst;
        let tier = partition.log().tier()?;
        (drops && config.remote_storage_enable()).then_some(Giving { partition, tier })
    };
    replicas.all().into_iter().filter_map(gives).collect()
}

/// The local segments that the object store has as well, as far as is known here.
fn uploaded(partition: &Partition) -> Vec<Candidate> {
    let log = partition.log();
    let end = log.remote_end().unwrap_or_default().min(partition.high_watermark());
    let mut candidates = retain::candidates(&log.local().sealed());
    candidates.retain(|candidate| candidate.end <= end);
    candidates
}

async fn drop_until(replicas: &Replicas, giving: &Giving, last: &Candidate) -> Result<(), Error> {
    let Ok(_held) = giving.partition.local_copies().try_lock() else { return Ok(()) };
    let freed = retain::free_until(&giving.partition, &giving.tier, last.end).await?;
    replicas.space().note_dropped(freed.segments, freed.bytes);
    let (partition, segments, bytes) = (giving.partition.name(), freed.segments, freed.bytes);
    tracing::info!(%partition, segments, bytes, until = %last.end, "local segments went early");
    Ok(())
}

/// Seals what the active segment has, so that it can be uploaded and then go.
async fn roll(partition: &Arc<Partition>) -> Result<(), Error> {
    if !retain::uploads(&partition.config()) {
        return Ok(());
    }
    let log = partition.log().local().clone();
    tokio::task::spawn_blocking(move || log.force_roll()).await??;
    Ok(())
}
