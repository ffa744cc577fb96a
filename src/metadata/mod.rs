//! What the cluster is: an immutable image of brokers, topics and partitions.
//!
//! A request sees one image from beginning to end; a change makes a new image and swaps it in
//! whole. Nothing here does I/O: the image comes from a [`MetaStore`], which lives floors above.

mod image;
mod live;
mod store;
mod topic_name;

pub use image::{
    BrokerNode, ClusterImage, Endpoint, PartitionImage, TooFewInSync, TopicImage, is_internal_topic,
};
pub use live::LiveImage;
pub use store::{MetaStore, MetaStoreError, StoredTopic};
pub use topic_name::{TopicNameError, check_topic_name, collides};
