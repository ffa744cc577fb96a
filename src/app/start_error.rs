//! Why a broker does not start, in words that say what to do.

use std::io;

use icecore_tiering::{FindClustersError, OpenError, OwnerError};

use super::{follow, restore};
use crate::cluster::OpenMetaStoreError;
use crate::metadata::MetaStoreError;
use crate::replica::HostError;

/// Why a broker did not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which one.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {0} is in use by another icecore: stop it, or give --data-dir")]
    InUse(String),
    /// No broker ever ran there.
    #[error("there is no broker's data in {0}: give --data-dir as `icecore serve` does")]
    NoData(String),
    /// A tool for the remote tier, and there is none.
    #[error("remote.log.storage.system.enable is false: there is no remote tier")]
    NoRemoteTier,
    /// The data directory was made for something else.
    #[error(
        "{data_dir} is the data directory of {found}: give --data-dir, each has one of its own"
    )]
    OtherRole {
        /// The directory.
        data_dir: String,
        /// What it was made for.
        found: &'static str,
    },
    /// There is no cluster that could be read.
    #[error(transparent)]
    Choose(#[from] follow::ChooseError),
    /// The history of the cluster cannot be read.
    #[error("the history of the cluster cannot be read: {0}")]
    Look(#[from] Box<follow::LookError>),
    /// A restore did not come to its end.
    #[error(
        "a restore into {0} was broken off: run `icecore tier restore` again with the same flags, \
         it begins anew"
    )]
    RestoreUnfinished(String),
    /// The disk or the network failed.
    #[error(transparent)]
    Io(io::Error),
    /// The metadata cannot be opened.
    #[error(transparent)]
    OpenMetadata(#[from] OpenMetaStoreError),
    /// The metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetaStoreError),
    /// `cluster.id` is not the one that the data directory was made with.
    #[error("cluster.id is {wanted}, but the data directory belongs to cluster {found}")]
    OtherCluster {
        /// By the settings.
        wanted: String,
        /// By the data directory.
        found: String,
    },
    /// The object store or the manifest cannot be opened.
    #[error(transparent)]
    Tiering(#[from] OpenError),
    /// The disk is empty, the store is not.
    #[error(
        "the data directory {data_dir} has no broker's data, but the store {url} holds cluster {clusters}: if \
         its disk is lost, run `icecore tier restore`, or set tiering.on.empty.disk=restore; to \
         begin another cluster beside it, set tiering.on.empty.disk=new"
    )]
    StoreHasClusters {
        /// The directory.
        data_dir: String,
        /// The store.
        url: String,
        /// Their ids.
        clusters: String,
    },
    /// The disk is empty, and the store does not say what it holds.
    #[error(
        "the data directory has no broker's data, and the store {url} does not say whether it holds \
         a cluster: {source}"
    )]
    Clusters {
        /// The store.
        url: String,
        /// Why not.
        source: Box<FindClustersError>,
    },
    /// An empty disk could not be filled from the store.
    #[error(transparent)]
    Restore(#[from] Box<restore::RestoreError>),
    /// Another broker owns the cluster.
    #[error(
        "{source}: what it did since is not known here, and two would overwrite each other. If this \
         data directory is the older one, move it away and run `icecore tier restore`"
    )]
    Owner {
        /// Who.
        source: OwnerError,
    },
    /// Another broker took over while this one ran.
    #[error("this broker ended, another one took over: {source}")]
    Deposed {
        /// Who.
        source: OwnerError,
    },
    /// The manifest cannot be rebuilt from the store.
    #[error("the manifest cannot be rebuilt from the store: {0}")]
    Reconcile(#[from] icecore_tiering::ReconcileError),
    /// The logs cannot be hosted.
    #[error(transparent)]
    Host(#[from] HostError),
}
