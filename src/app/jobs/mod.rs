//! Checks and collections of the object store, for a broker that runs and for a tool that looks at
//! one that is stopped.

mod checkpoint;
mod running;
mod told;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    CheckOptions, CollectOptions, CollectReport, ManifestError, Named, ObjectPart, PartitionKey,
    Scope, Tiering,
};

pub(super) use running::Jobs;

use crate::http::{
    CheckOutcome, Collected, JobEnd, JobProgress, JobRequest, JobResult, NamedObjects, Verified,
    VerifiedPartition,
};
use checkpoint::Checkpoint;
use watch::Watch;

/// Where a check that is broken off keeps what it found right.
const CHECKPOINT: &str = "fsck.checkpoint";
/// The same of a deep one.
const DEEP_CHECKPOINT: &str = "fsck-deep.checkpoint";

/// The partitions of a topic by its name; `None` when there is no such topic.
pub(super) type PartitionsOf = dyn Fn(&str) -> Option<Vec<PartitionKey>> + Send + Sync;

/// What a job works on.
pub(super) struct JobPlace {
    pub(super) tiering: Arc<Tiering>,
    pub(super) cluster_id: String,
    pub(super) data_dir: PathBuf,
    pub(super) partitions_of: Box<PartitionsOf>,
    /// What is younger may be on its way.
    pub(super) min_age: Duration,
}

/// Told of a job's progress.
pub(super) type Told<'a> = &'a (dyn Fn(JobProgress) + Send + Sync);

/// Does a job, to its end.
pub(super) async fn run(place: &JobPlace, request: &JobRequest, told: Told<'_>) -> JobEnd {
    match request {
        JobRequest::Fsck { deep, anew } => fsck(place, *deep, *anew, told).await,
        JobRequest::Gc { dry_run, min_age_ms } => {
            let min_age = min_age_ms.map_or(place.min_age, Duration::from_millis);
            collect(place, *dry_run, min_age).await
        }
        JobRequest::Verify { topic } => verify(place, topic, told).await,
    }
}

fn failed(error: impl std::fmt::Display) -> JobEnd {
    JobEnd { error: Some(error.to_string()), result: None }
}

async fn fsck(place: &JobPlace, deep: bool, anew: bool, told: Told<'_>) -> JobEnd {
    let path = place.data_dir.join(if deep { DEEP_CHECKPOINT } else { CHECKPOINT });
    let checkpoint = match Checkpoint::open(&path, &place.cluster_id, anew) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return failed(format!("{}: {error}", path.display())),
    };
    let options = CheckOptions { scope: Scope::All, deep, gaps: false, min_age: place.min_age };
    let (outcome, error) = check(place, &options, Some(checkpoint), told).await;
    JobEnd { error, result: Some(JobResult::Fsck(outcome)) }
}

async fn verify(place: &JobPlace, topic: &str, told: Told<'_>) -> JobEnd {
    let Some(keys) = (place.partitions_of)(topic) else {
        return failed(format!("the cluster has no topic {topic}"));
    };
    let partitions = match kept(&place.tiering, &keys).await {
        Ok(partitions) => partitions,
        Err(error) => return failed(error),
    };
    let scope = Scope::Partitions(keys);
    let options = CheckOptions { scope, deep: true, gaps: true, min_age: place.min_age };
    let (outcome, error) = check(place, &options, None, told).await;
    let verified = Verified { topic: topic.to_owned(), partitions, outcome };
    JobEnd { error, result: Some(JobResult::Verify(verified)) }
}

async fn kept(
    tiering: &Tiering,
    keys: &[PartitionKey],
) -> Result<Vec<VerifiedPartition>, ManifestError> {
    let mut partitions = Vec::with_capacity(keys.len());
    for key in keys {
        let bounds = tiering.bounds(key).await?;
        partitions.push(VerifiedPartition {
            partition: key.partition,
            first_offset: bounds.first_offset.map(|offset| offset.get()),
            last_offset: bounds.end_offset.map(|offset| offset.get()),
            segments: bounds.segments,
            bytes: bounds.bytes,
        });
    }
    Ok(partitions)
}

/// What was found, and why that is not all.
async fn check(
    place: &JobPlace,
    options: &CheckOptions,
    checkpoint: Option<Checkpoint>,
    told: Told<'_>,
) -> (CheckOutcome, Option<String>) {
    let watch = Watch::new(checkpoint, options.gaps, told);
    let checked = place.tiering.check(options, &watch).await;
    let outcome = watch.end(checked.is_ok());
    (outcome, checked.err().map(|error| format!("not all could be looked at: {error}")))
}

async fn collect(place: &JobPlace, dry_run: bool, min_age: Duration) -> JobEnd {
    let options = CollectOptions { min_age, dry_run, scope: Scope::All };
    match place.tiering.collect_garbage(&options).await {
        Ok(report) => {
            let collected = collected(&place.tiering, report, dry_run);
            JobEnd { error: None, result: Some(JobResult::Gc(collected)) }
        }
        Err(error) => failed(error),
    }
}

fn collected(tiering: &Tiering, report: CollectReport, dry_run: bool) -> Collected {
    let named = |Named { count, names }| NamedObjects { count, names };
    let lost = report.lost.iter().map(|segment| tiering.object_name(segment, ObjectPart::Log));
    let lost = NamedObjects { count: report.lost.len() as u64, names: lost.collect() };
    Collected {
        dry_run,
        completed_uploads: report.completed,
        abandoned_uploads: report.abandoned,
        deleted_segments: report.deleted.segments,
        orphans: named(report.orphans),
        orphan_bytes: report.orphan_bytes,
        unfinished: named(report.unfinished),
        returned_segments: report.returned.len() as u64,
        unclaimed: named(report.unclaimed),
        foreign: named(report.foreign),
        failed: named(report.failed),
        lost,
    }
}
