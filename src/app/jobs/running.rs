//! Jobs of a broker that runs: one at a time, beside everything else, on the threads that move bytes
//! to and from the store. They read checkpoints and sum up whole objects, for which no client waits.
//!
//! Invariant: at most one job goes on. The last one is remembered until the next begins, so that
//! whoever asked for it learns how it ended.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{JobPlace, run, told};
use crate::http::{JobEnd, JobProgress, JobRefused, JobRequest, JobState, JobStatus};

/// Begins jobs and knows the last one.
pub(in crate::app) struct Jobs {
    place: Arc<JobPlace>,
    tasks: TaskTracker,
    threads: Handle,
    stop: CancellationToken,
    last: Mutex<Option<Arc<Job>>>,
}

struct Job {
    id: String,
    request: JobRequest,
    cancel: CancellationToken,
    progress: Mutex<JobProgress>,
    end: Mutex<Option<JobEnd>>,
}

impl Jobs {
    /// None yet. They run on `threads`; those that go on at `stop` are broken off.
    pub(in crate::app) fn new(
        place: JobPlace,
        tasks: &TaskTracker,
        threads: &Handle,
        stop: &CancellationToken,
    ) -> Self {
        let (tasks, threads, stop) = (tasks.clone(), threads.clone(), stop.clone());
        Self { place: Arc::new(place), tasks, threads, stop, last: Mutex::new(None) }
    }

    pub(in crate::app) fn begin(&self, request: JobRequest) -> Result<JobStatus, JobRefused> {
        let mut last = self.last.lock();
        if let Some(job) = last.as_ref().filter(|job| job.end.lock().is_none()) {
            return Err(JobRefused::Busy(job.id.clone()));
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        tracing::info!(
            job = told::name(&request),
            ?request,
            id,
            "a job on the object store begins"
        );
        let job = Arc::new(Job {
            id,
            request,
            cancel: self.stop.child_token(),
            progress: Mutex::default(),
            end: Mutex::new(None),
        });
        *last = Some(Arc::clone(&job));
        let status = job.status();
        self.tasks.spawn_on(job.run(Arc::clone(&self.place)), &self.threads);
        Ok(status)
    }

    pub(in crate::app) fn job(&self, id: &str) -> Option<JobStatus> {
        self.known(id).map(|job| job.status())
    }

    pub(in crate::app) fn cancel(&self, id: &str) -> Option<JobStatus> {
        let job = self.known(id)?;
        job.cancel.cancel();
        Some(job.status())
    }

    fn known(&self, id: &str) -> Option<Arc<Job>> {
        self.last.lock().as_ref().filter(|job| job.id == id).cloned()
    }
}

impl Job {
    async fn run(self: Arc<Self>, place: Arc<JobPlace>) {
        let _unended = Unended(&self);
        let told = |progress| *self.progress.lock() = progress;
        let end = tokio::select! {
            end = run(&place, &self.request, &told) => end,
            () = self.cancel.cancelled() => {
                JobEnd { error: Some("it was broken off".to_owned()), result: None }
            }
        };
        self.tell(&end);
        *self.end.lock() = Some(end);
    }

    fn tell(&self, end: &JobEnd) {
        let (job, request, id) = (told::name(&self.request), &self.request, &self.id);
        let result = end.result.as_ref().map(told::words);
        let is_amiss = end.result.as_ref().is_some_and(told::is_amiss);
        match &end.error {
            Some(error) => {
                tracing::warn!(job, ?request, id, error, result, "a job on the object store ended");
            }
            None if is_amiss => {
                tracing::warn!(job, ?request, id, result, "a job on the object store is done");
            }
            None => tracing::info!(job, ?request, id, result, "a job on the object store is done"),
        }
    }

    fn status(&self) -> JobStatus {
        let end = self.end.lock().clone();
        let state = if end.is_some() { JobState::Ended } else { JobState::Running };
        JobStatus {
            id: self.id.clone(),
            request: self.request.clone(),
            state,
            progress: *self.progress.lock(),
            end: end.unwrap_or_default(),
        }
    }
}

/// Ends a job that panicked: else it would go on for ever, and no other could begin.
struct Unended<'a>(&'a Job);

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        self.0.end.lock().get_or_insert_with(|| JobEnd {
            error: Some("it failed by a fault of the broker's own, which its log shows".to_owned()),
            result: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_tiering::{StoreSettings, SystemClock, Tiering, TieringConfig};

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_and_another_may_begin() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, cache) = (folder.path().join("manifest.db"), folder.path().join("cache"));
        let store = StoreSettings::new("memory://");
        let config = TieringConfig::new(store, "cluster", manifest, cache);
        let place = JobPlace {
            tiering: Tiering::open(config, Arc::new(SystemClock)).await.unwrap(),
            cluster_id: "cluster".to_owned(),
            data_dir: folder.path().to_owned(),
            partitions_of: Box::new(|topic| panic!("{topic} is too much")),
            min_age: Duration::ZERO,
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let jobs = Jobs::new(place, &tasks, &Handle::current(), &stop);
        let verify = JobRequest::Verify { topic: "orders".to_owned() };
        let id = jobs.begin(verify.clone()).unwrap().id;
        tasks.close();
        tasks.wait().await;
        let status = jobs.job(&id).unwrap();
        assert!(matches!(status.state, JobState::Ended));
        assert!(status.end.error.unwrap().contains("its log shows"));
        jobs.begin(verify).unwrap();
    }
}
