//! Membership and control: who may change the cluster image, and where it is kept.
//!
//! One machine is a cluster of one: it leads every partition, and its image lies in SQLite.

mod alter_broker;
mod alter_policy;
mod controller;
mod erase;
mod follow;
mod load;
mod overruled;
mod snapshot;
mod sqlite_policies;
mod sqlite_store;

pub use alter_broker::{AlterBrokerError, put_in_force};
pub use alter_policy::{AlterPolicyError, PolicyChange};
pub use controller::{
    AlterTopicError, Controller, CreateTopic, CreateTopicError, DeleteTopicError, GrowTopicError,
    PARTITIONS_PER_REQUEST_MAX, SettingsChange, TopicRef,
};
pub use erase::erase;
pub use load::load_image;
pub use overruled::{Overruled, OwnSetting};
pub use snapshot::{ClusterSnapshot, SnapshotError, SnapshotTopic};
pub use sqlite_store::{OpenMetaStoreError, SqliteMetaStore};
