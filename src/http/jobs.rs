//! Long work on the object store that a broker can be asked for: it is begun, looked at, and ends by
//! itself.
//!
//! The same words describe work that a tool does while the broker is stopped.

use serde::{Deserialize, Serialize};

/// Whoever does the work. One job goes on at a time; the last one that ended is remembered.
pub trait TierJobs: Send + Sync + 'static {
    /// Begins a job.
    ///
    /// # Errors
    /// [`JobRefused`] says why not now.
    fn begin(&self, request: JobRequest) -> Result<JobStatus, JobRefused>;

    /// How far a job is; `None` when none of that id is known any more.
    fn job(&self, id: &str) -> Option<JobStatus>;

    /// Breaks a job off. What it did until then stands.
    fn cancel(&self, id: &str) -> Option<JobStatus>;
}

/// What is to be done. Scripts rely on the names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JobRequest {
    /// Hold the store against the manifest, and every object against itself.
    Fsck {
        /// Whether every byte is read.
        #[serde(default)]
        deep: bool,
        /// Whether what a run that was broken off found right is looked at again.
        #[serde(default)]
        anew: bool,
    },
    /// Remove what no row names.
    Gc {
        /// Whether it is only told.
        #[serde(default)]
        dry_run: bool,
        /// What is younger is spared. `tiering.gc.min.age.ms` when it is not given.
        #[serde(default)]
        min_age_ms: Option<u64>,
    },
    /// Every byte and every offset of one topic.
    Verify {
        /// The topic's name.
        topic: String,
    },
}

/// Why a job was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobRefused {
    /// The broker starts or ends.
    #[error("not ready: {0}")]
    NotReady(String),
    /// There is nothing to work on.
    #[error("remote.log.storage.system.enable is false: there is no remote tier")]
    NoRemoteTier,
    /// The store is another broker's.
    #[error("this is a read-only server: ask the broker that the cluster belongs to")]
    ReadOnly,
    /// One job at a time.
    #[error("job {0} is still going on: wait for its end, or delete it")]
    Busy(String),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It goes on.
    Running,
    /// It ended: there is a result, or an error, or, when not all could be looked at, both.
    Ended,
}

/// A job as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Names the job.
    pub id: String,
    /// What was asked for.
    pub request: JobRequest,
    /// Whether it goes on.
    pub state: JobState,
    /// What was done so far.
    pub progress: JobProgress,
    /// What came of it.
    #[serde(flatten)]
    pub end: JobEnd,
}

/// What a job has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Partitions that are done.
    pub partitions: u64,
    /// Partitions in all, as far as is known.
    pub of_partitions: u64,
    /// Segments that were found right.
    pub segments: u64,
    /// Bytes that were read of them.
    pub bytes: u64,
    /// Things that are not as they ought to be.
    pub findings: u64,
}

/// What came of a job: nothing as long as it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// Why not all was done, in words.
    pub error: Option<String>,
    /// What was found or done.
    pub result: Option<JobResult>,
}

/// What was found or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobResult {
    /// Of a check of everything.
    Fsck(CheckOutcome),
    /// Of a collection.
    Gc(Collected),
    /// Of a check of one topic.
    Verify(Verified),
}

/// A thing that is not as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// One of the words that `icecore tier fsck --help` tells.
    pub kind: String,
    /// The object, or the partition.
    pub place: String,
    /// In words.
    pub detail: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// How many things are not as they ought to be.
    pub findings: u64,
    /// The first ten thousand of them.
    pub found: Vec<Found>,
    /// Segments that were found right.
    pub segments: u64,
    /// Bytes that were read of them; 0 when only heads were.
    pub bytes: u64,
    /// Segments that a check that was broken off found right.
    pub known_segments: u64,
}

/// What the store has of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Which topic.
    pub topic: String,
    /// Its partitions, by number.
    pub partitions: Vec<VerifiedPartition>,
    /// What is wrong with it.
    #[serde(flatten)]
    pub outcome: CheckOutcome,
}

/// What the store has of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedPartition {
    /// Its number.
    pub partition: i32,
    /// The first offset there.
    pub first_offset: Option<i64>,
    /// The last offset there, inclusive.
    pub last_offset: Option<i64>,
    /// How many segments.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
}

/// How many there are, and the names of the first thousand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedObjects {
    /// How many.
    pub count: u64,
    /// The names.
    pub names: Vec<String>,
}

/// What a collection removed, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// Uploads that a crash broke off and whose objects are whole.
    pub completed_uploads: u64,
    /// Uploads that were given up: to be made again.
    pub abandoned_uploads: u64,
    /// Segments whose deletion was finished.
    pub deleted_segments: u64,
    /// Objects without a row.
    pub orphans: NamedObjects,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Unfinished multipart uploads and temporary files.
    pub unfinished: NamedObjects,
    /// Segments whose objects were missing: to be uploaded again from the local disk.
    pub returned_segments: u64,
    /// Objects that may be the only copy of their records: left.
    pub unclaimed: NamedObjects,
    /// Names that are none of icecore's: left.
    pub foreign: NamedObjects,
    /// What could not be looked at or removed now.
    pub failed: NamedObjects,
    /// Logs that are gone, without a local copy.
    pub lost: NamedObjects,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_scripts_write_them() {
        let read = |text: &str| serde_json::from_str::<JobRequest>(text);
        let fsck = JobRequest::Fsck { deep: true, anew: false };
        assert_eq!(read(r#"{"job": "fsck", "deep": true}"#).expect("fsck"), fsck);
        let gc = JobRequest::Gc { dry_run: false, min_age_ms: None };
        assert_eq!(read(r#"{"job": "gc"}"#).expect("gc"), gc);
        for wrong in ["{}", r#"{"job": "gc", "dry-run": true}"#, r#"{"job": "verify"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        let outcome = CheckOutcome { findings: 1, ..CheckOutcome::default() };
        let verified = Verified { topic: "t".into(), partitions: Vec::new(), outcome };
        let status = JobStatus {
            id: "1".into(),
            request: JobRequest::Verify { topic: "t".into() },
            state: JobState::Ended,
            progress: JobProgress::default(),
            end: JobEnd { error: None, result: Some(JobResult::Verify(verified)) },
        };
        let text = serde_json::to_string(&status).expect("json");
        assert_eq!(serde_json::from_str::<JobStatus>(&text).expect("status"), status);
    }
}
