//! What of this broker goes into the bucket beside segments, so that a lost disk loses none of it.

mod upload;

use icecore_tiering::MetaKind;

pub(super) use upload::{MetaUpload, MetaUploadParts};

/// Topics, settings, epochs, log starts and producer ids: a [`crate::cluster::ClusterSnapshot`].
pub(super) const CLUSTER: MetaKind = MetaKind::new("cluster");
/// Groups and their committed offsets: see [`crate::coordinator::restore_groups`].
pub(super) const GROUPS: MetaKind = MetaKind::new("groups");
