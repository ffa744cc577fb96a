//! What is amiss although clients are served: a line for each, for `/readyz`.

use icecore_tiering::StoreState;

use super::disk;
use super::observe::Parts;
use crate::coordinator::Groups;
use crate::replica::{Replicas, Upkeep};

/// The lines of this moment.
pub(super) fn of(replicas: &Replicas, parts: &Parts) -> Vec<String> {
    let view = parts.view.as_ref().map(|view| view.words());
    let space = disk::status(&replicas.space().report());
    let all = [
        view,
        store(replicas),
        ownership(replicas),
        uploads(&parts.upkeep),
        space.remark(),
        syncs(replicas),
        loads(&parts.groups),
    ];
    all.into_iter().flatten().collect()
}

fn store(replicas: &Replicas) -> Option<String> {
    match replicas.tiering()?.store_state() {
        StoreState::Answering => None,
        StoreState::LeftAlone { since, held_back, error, .. } => Some(format!(
            "the object store has failed for {} s and is left alone, {held_back} calls were not \
             made: {error}",
            since.as_secs()
        )),
    }
}

fn ownership(replicas: &Replicas) -> Option<String> {
    // A read-only server is no owner, and says so first of all.
    let tiering = replicas.tiering().filter(|tiering| !tiering.is_read_only())?;
    let reason = tiering.may_change_store().err()?;
    Some(format!("nothing is uploaded to the object store or deleted from it: {reason}"))
}

fn uploads(upkeep: &Upkeep) -> Option<String> {
    let failing = upkeep.failing()?;
    let (partitions, example, error) = (failing.partitions, failing.example, failing.error);
    Some(format!(
        "uploads of {partitions} partitions fail and are tried again, that of {example}: {error}"
    ))
}

fn syncs(replicas: &Replicas) -> Option<String> {
    let all = replicas.all();
    let mut failed = all
        .iter()
        .filter_map(|partition| Some((partition.name(), partition.log().local().failure()?)));
    let (name, error) = failed.next()?;
    let partitions = 1 + failed.count();
    Some(format!(
        "{partitions} partitions take no more records since a sync failed, restart the broker when \
         the disk is well: {name}: {error}"
    ))
}

fn loads(groups: &Groups) -> Option<String> {
    let (loading, all) = groups.loading();
    let told = || {
        format!(
            "consumer groups are being read back, {} of {all} parts of __consumer_offsets are done",
            all - loading
        )
    };
    (loading > 0).then(told)
}
