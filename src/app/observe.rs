//! The broker as it is seen from the HTTP port.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use icecore_tiering::Bounds;
use parking_lot::Mutex;

use super::follow::View;
use super::jobs::Jobs;
use super::policies::PolicyDesk;
use super::replay_rates::ReplayRates;
use super::sampling::sealed_for;
use super::{disk, remarks, replay_plan, replays};
use crate::broker::Broker;
use crate::config::PolicyText;
use crate::coordinator::Groups;
use crate::http::{
    AskError, DiskStatus, Explained, JobRefused, JobRequest, JobStatus, ObserveError, Observed,
    PartitionStatus, PlanAsk, PolicyOutcome, PolicyStatus, ReplayPlan, ReplaysStatus, ServerStatus,
    TierJobs, TierPolicies, TierStatus, WarmAsk, Warmed,
};
use crate::log::Sealed;
use crate::replica::{Partition, Replicas, Upkeep};

/// Tells how far the start is, and where bytes lie once it is done.
pub(super) struct Observer {
    state: Mutex<State>,
    began: Instant,
}

/// What can be looked at and asked once the broker has started, beside its partitions.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) broker: Arc<Broker>,
    pub(super) groups: Arc<Groups>,
    pub(super) upkeep: Arc<Upkeep>,
    pub(super) policies: Arc<PolicyDesk>,
    /// None without a remote tier, and where the store is another broker's.
    pub(super) jobs: Option<Arc<Jobs>>,
    /// Of a read-only server.
    pub(super) view: Option<Arc<View>>,
}

enum State {
    NotReady(String),
    Ready(Arc<Replicas>, Parts),
}

impl Observer {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::NotReady("starting".into())), began: Instant::now() }
    }

    /// Notes what the start is waiting for.
    pub(super) fn starting(&self, what: &str) {
        *self.state.lock() = State::NotReady(format!("starting: {what}"));
        tracing::debug!(step = what, after_ms = self.began.elapsed().as_millis(), "starting");
    }

    pub(super) fn ready(&self, replicas: Arc<Replicas>, parts: Parts) {
        *self.state.lock() = State::Ready(replicas, parts);
    }

    /// Notes what the end is at. Nothing is looked at or asked any more.
    pub(super) fn ending(&self, what: &str) {
        *self.state.lock() = State::NotReady(format!("ending: {what}"));
    }

    fn replicas(&self) -> Result<Arc<Replicas>, String> {
        self.parts().map(|(replicas, _)| replicas)
    }

    fn asked(&self) -> Result<Arc<Replicas>, AskError> {
        self.replicas().map_err(not_ready)
    }

    fn parts(&self) -> Result<(Arc<Replicas>, Arc<Broker>), String> {
        match &*self.state.lock() {
            State::Ready(replicas, parts) => Ok((replicas.clone(), parts.broker.clone())),
            State::NotReady(why) => Err(why.clone()),
        }
    }

    fn desk(&self) -> Result<Arc<PolicyDesk>, String> {
        match &*self.state.lock() {
            State::Ready(_, parts) => Ok(parts.policies.clone()),
            State::NotReady(why) => Err(why.clone()),
        }
    }

    fn writable_desk(&self) -> Result<Arc<PolicyDesk>, AskError> {
        if self.view().is_some() {
            let why = "this server only reads the cluster: set policies on its broker";
            return Err(AskError::Refused(why.to_owned()));
        }
        self.desk().map_err(not_ready)
    }

    fn view(&self) -> Option<Arc<View>> {
        match &*self.state.lock() {
            State::Ready(_, parts) => parts.view.clone(),
            State::NotReady(_) => None,
        }
    }

    fn jobs(&self) -> Result<Arc<Jobs>, JobRefused> {
        match &*self.state.lock() {
            State::Ready(_, parts) => parts.jobs.clone().ok_or(match parts.view {
                Some(_) => JobRefused::ReadOnly,
                None => JobRefused::NoRemoteTier,
            }),
            State::NotReady(why) => Err(JobRefused::NotReady(why.clone())),
        }
    }
}

impl Observed for Observer {
    fn ready(&self) -> Result<(), String> {
        self.replicas().map(drop)
    }

    fn remarks(&self) -> Vec<String> {
        let ready = match &*self.state.lock() {
            State::Ready(replicas, parts) => Some((replicas.clone(), parts.clone())),
            State::NotReady(_) => None,
        };
        ready.map_or_else(Vec::new, |(replicas, parts)| remarks::of(&replicas, &parts))
    }

    fn disk(&self) -> Result<DiskStatus, ObserveError> {
        Ok(disk::status(&self.replicas()?.space().report()))
    }

    fn server(&self) -> Result<ServerStatus, ObserveError> {
        let (_, broker) = self.parts()?;
        let view = self.view();
        Ok(ServerStatus {
            cluster_id: broker.cluster_id(),
            read_only: view.is_some(),
            view_age_ms: view.as_ref().map(|view| view.age().as_millis() as u64),
            view_every_ms: view.as_ref().map(|view| view.every().as_millis() as u64),
            view_told_ms: view.as_ref().and_then(|view| view.told_ms()),
            view_amiss: view.and_then(|view| view.amiss()),
        })
    }

    fn partitions(&self) -> BoxFuture<'_, Result<Vec<PartitionStatus>, ObserveError>> {
        Box::pin(async {
            let mut all = Vec::new();
            for partition in self.replicas()?.all() {
                let bounds = match partition.log().tier() {
                    Some(tier) => Some(tier.tiering.bounds(&tier.key).await?),
                    None => None,
                };
                all.push(tokio::task::spawn_blocking(move || status(&partition, bounds)).await?);
            }
            Ok(all)
        })
    }

    fn replays(&self) -> Result<ReplaysStatus, ObserveError> {
        let (replicas, broker) = self.parts()?;
        let tiering = replicas.tiering();
        Ok(tiering.map_or_else(ReplaysStatus::default, |t| replays::status(t, broker.replays())))
    }

    fn replay_plan(&self, ask: PlanAsk) -> BoxFuture<'_, Result<ReplayPlan, AskError>> {
        Box::pin(async move {
            let (replicas, desk) = (self.asked()?, self.desk().map_err(not_ready)?);
            let rates = ReplayRates::of(&desk, &ask.topic);
            replay_plan::plan(&replicas, &rates, &ask).await
        })
    }

    fn warm(&self, ask: WarmAsk) -> BoxFuture<'_, Result<Warmed, AskError>> {
        Box::pin(async move {
            let replicas = self.asked()?;
            replay_plan::warm(&replicas, &ask).await
        })
    }
}

impl TierPolicies for Observer {
    fn policies(&self) -> Result<Vec<PolicyStatus>, ObserveError> {
        Ok(self.desk()?.list())
    }

    fn set_policy(
        &self,
        policy: PolicyText,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>> {
        Box::pin(async move { self.writable_desk()?.set(policy, dry_run).await })
    }

    fn delete_policy(
        &self,
        name: String,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>> {
        Box::pin(async move { self.writable_desk()?.delete(&name, dry_run).await })
    }

    fn explain(&self, topic: &str) -> Result<Explained, ObserveError> {
        Ok(self.desk()?.explain(topic))
    }
}

impl TierJobs for Observer {
    fn begin(&self, request: JobRequest) -> Result<JobStatus, JobRefused> {
        self.jobs()?.begin(request)
    }

    fn job(&self, id: &str) -> Option<JobStatus> {
        self.jobs().ok()?.job(id)
    }

    fn cancel(&self, id: &str) -> Option<JobStatus> {
        self.jobs().ok()?.cancel(id)
    }
}

fn not_ready(why: String) -> AskError {
    AskError::Failed(why.into())
}

/// Where one partition's bytes lie. Blocking: the age of what waits is that of its file.
fn status(partition: &Partition, bounds: Option<Bounds>) -> PartitionStatus {
    let log = partition.log();
    let sealed = log.local().sealed();
    let (_, active) = log.local().active_extent();
    let uploaded = log.remote_end().unwrap_or_default();
    let waits = |segment: &&Arc<Sealed>| log.is_tiered() && segment.end() > uploaded;
    let pending: Vec<_> = sealed.iter().filter(waits).collect();
    let remote_oldest = bounds.as_ref().map(|bounds| bounds.first_timestamp_ms);
    let oldest = remote_oldest.filter(|ms| *ms >= 0).or_else(|| local_oldest(partition));
    PartitionStatus {
        topic: partition.name().topic.to_string(),
        partition: partition.name().partition,
        log_start_offset: log.log_start().get(),
        local_log_start_offset: log.local_log_start().get(),
        high_watermark: partition.high_watermark().get(),
        log_end_offset: log.local().log_end().get(),
        local: TierStatus {
            segments: sealed.len() as u64 + 1,
            bytes: sealed.iter().map(|segment| segment.size()).sum::<u64>() + active.size,
        },
        remote: bounds.map_or_else(TierStatus::default, |bounds| TierStatus {
            segments: bounds.segments,
            bytes: bounds.bytes,
        }),
        pending: TierStatus {
            segments: pending.len() as u64,
            bytes: pending.iter().map(|segment| segment.size()).sum(),
        },
        oldest_timestamp_ms: oldest,
        upload_lag_ms: pending.first().map_or(0, |oldest| millis(sealed_for(oldest))),
    }
}

/// The timestamp of the first record on this disk, if it is known.
fn local_oldest(partition: &Partition) -> Option<i64> {
    let first = partition.log().local().first_timestamp_ms();
    let first = first.inspect_err(|error| {
        tracing::warn!(partition = %partition.name(), %error, "the oldest record cannot be read");
    });
    first.ok().filter(|ms| *ms >= 0)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
