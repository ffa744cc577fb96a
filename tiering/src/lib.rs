//! Sealed segments in object storage.
//!
//! This crate takes a sealed segment as named byte parts with offsets, epochs and timestamps,
//! keeps it in a store, and gives ranges of it back. It knows nothing of Kafka's protocol, of
//! records or of brokers.
//!
//! ```text
//! sealed -> record_sealed -> offload -> local_gone -> (years of index and read) -> expire
//! ```
//! What is durable when, in one place (each module tells its own steps):
//!
//! | operation | the order that makes it safe | after a crash in between |
//! |---|---|---|
//! | [`Tiering::offload`] | row `uploading`, `.index`, `.log`, verify, row `live` | collection completes or abandons it; the local file is still there |
//! | [`Tiering::local_gone`] | row `gone`, then the caller unlinks | a file whose row says `gone` is unlinked at the next start |
//! | [`Tiering::expire`] | the caller's log start, rows `deleting`, `.log`s, `.index`es, rows | the next deletion or collection goes on |
//! | [`Tiering::collect_garbage`] | marker read, then removals, each repeatable | the next collection goes on |
//! | [`Tiering::reconcile`] | marker read, rows by partition, then "complete" | nothing is collected until it ran to its end |
//! | [`Tiering::follow`] | rows behind those that are there, one transaction | the next follow goes on |
//!
//! The modules: `key` (object names), `bundle` (the `.index` object), `store` (calls with
//! deadlines), `manifest` (rows), `meta` (snapshots of what the caller keeps beside segments),
//! `cache` (chunks on the local disk), `share` (one such cache for all processes of a machine), then
//! one for each operation: `upload`, `read`, `expiry` and `delete`, `collect`, `check`, `reconcile`
//! (with `scan` and `lineage`), and `follow`, for a process that reads a store which another one owns.

mod backoff;
mod bundle;
mod cache;
mod check;
mod checksum;
mod clock;
mod clusters;
mod collect;
mod config;
mod counters;
mod delete;
mod expiry;
mod first_cluster;
mod follow;
mod ids;
mod key;
mod lineage;
mod manifest;
mod marker;
mod meta;
mod owner;
mod partition;
mod priority;
mod read;
mod recent;
mod reconcile;
mod scan;
mod segment;
mod share;
mod steps;
mod store;
mod tiering;
mod upload;

pub use backoff::{Backoff, Dice};
pub use bundle::{BundleError, BundleHeader, IndexBundle};
pub use cache::{CacheClass, CacheOpenError};
pub use check::{CheckError, CheckOptions, CheckWatch, Finding, FindingKind, LogInspector};
pub use clock::{Clock, SystemClock};
pub use clusters::{FindClustersError, FoundCluster, find_cluster, find_clusters};
pub use collect::{CollectError, CollectOptions, CollectReport, Named};
pub use config::{Pace, SettingError, TieringConfig, Unpaced};
pub use counters::CounterValues;
pub use delete::{DeleteError, DeleteReport};
pub use expiry::{ExpiryPlan, ForeseenExpiry, Retention, plan_expiry};
pub use follow::{Follow, FollowError, Followed};
pub use ids::{LeaderEpoch, Offset, ParseIdError, SegmentId, TopicId};
pub use key::{KeyError, Layout, ObjectName, ObjectPart, ParseNameError, TopicFolder};
pub use manifest::{Bounds, Count, ManifestError, TopicSum, Totals};
pub use marker::MarkerError;
pub use meta::{EnvelopeError, MetaError, MetaFound, MetaKind, MetaSnapshot};
pub use owner::{OwnerError, OwnerIdentity, Ownership, TakeOver};
pub use partition::PartitionKey;
pub use priority::lower_thread_priority;
pub use read::{FileSlice, ReadError, ReadPlan, ReplayStream, Replays, Wanted};
pub use reconcile::{FoundPartition, Headers, ReconcileError, ReconcileProgress, ReconcileReport};
pub use scan::Scope;
pub use segment::{LocalState, ObjectSpan, RemoteState, Segment};
pub use steps::{RunThrough, Step, Steps, Stopped};
pub use store::{
    CallOutcome, Multipart, MultipartRule, NotOwner, Store, StoreCall, StoreError, StoreKind,
    StoreOpenError, StoreReport, StoreSettings, StoreState, StoreWatch, Unwatched, Verify,
    WrongBytes,
};
pub use tiering::{OpenError, Status, Tiering, VouchError};
pub use upload::{OffloadError, Parts, UploadTurn};
