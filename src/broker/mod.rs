//! One file per Kafka API: take the request apart, call the floor below, map what it says to the
//! protocol's error codes. No file here touches a socket or a disk.

mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod call;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod dispatch;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod group_ids;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod offsets_topic;
mod produce;
mod producer_ids;
mod read_only;
mod replays;
mod served;
mod sync_group;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::cluster::Controller;
use crate::config::BrokerConfig;
use crate::coordinator::Groups;
use crate::env::Clock;
use crate::metadata::{ClusterImage, LiveImage, MetaStore};
use crate::metrics::Metrics;
use crate::pace::Paces;
use crate::replica::{Partition, Replicas};
use crate::wire::ErrorCode;

pub use dispatch::KafkaService;
pub use replays::Replay;

use call::Call;
use fetch::{Sessions, TopicKey};
use producer_ids::ProducerIds;
use replays::Replays;

/// Packed batches that are looked into at a time.
const UNPACKING_MAX: usize = 2;

/// Searches by time that go on at a time: each takes a thread that may wait for a disk, and one
/// request can ask for any number of them.
const SEARCHING_MAX: usize = 16;

/// What a broker is made of.
pub struct Parts {
    /// Its settings.
    pub config: Arc<BrokerConfig>,
    /// The cluster as it is.
    pub image: Arc<LiveImage>,
    /// Who changes it.
    pub controller: Arc<Controller>,
    /// The partitions hosted here.
    pub replicas: Arc<Replicas>,
    /// The consumer groups.
    pub groups: Arc<Groups>,
    /// Where producer ids come from.
    pub store: Arc<dyn MetaStore>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may move bytes how fast.
    pub paces: Arc<Paces>,
}

/// Answers Kafka's requests.
pub struct Broker {
    config: Arc<BrokerConfig>,
    image: Arc<LiveImage>,
    controller: Arc<Controller>,
    replicas: Arc<Replicas>,
    groups: Arc<Groups>,
    sessions: Sessions,
    producer_ids: ProducerIds,
    replays: Replays,
    /// Batches that may be unpacked at a time.
    unpacking: Semaphore,
    /// Searches by time at a time.
    searching: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    paces: Arc<Paces>,
}

impl Broker {
    /// Puts a broker together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, image, controller, replicas, groups, store, clock, metrics, paces } =
            parts;
        let sessions = Sessions::new(config.fetch_session_slots());
        let producer_ids = ProducerIds::new(store);
        Arc::new(Self {
            config,
            image,
            controller,
            replicas,
            groups,
            sessions,
            producer_ids,
            replays: Replays::default(),
            unpacking: Semaphore::new(UNPACKING_MAX),
            searching: Semaphore::new(SEARCHING_MAX),
            clock,
            metrics,
            paces,
        })
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.image.load().cluster_id.to_string()
    }

    /// Consumers that read the remote tier now, by partition.
    #[must_use]
    pub fn replays(&self) -> Vec<Replay> {
        self.replays.now(self.clock.now_ms(), |name| {
            let partition = self.replicas.partition(&name.topic, name.partition)?;
            Some(partition.high_watermark())
        })
    }

    /// The partition that a fetch names, if it is hosted here.
    fn find_wanted(
        &self,
        image: &ClusterImage,
        topic: &TopicKey,
        partition: i32,
    ) -> Option<Arc<Partition>> {
        let topic = match topic {
            TopicKey::Id(id) => image.topic_by_id(*id)?,
            TopicKey::Name(name) => image.topic(name)?,
        };
        self.replicas.partition(&topic.name, partition)
    }
}

/// Compares the leader epoch that a client knows with ours; -1 knows none (KIP-320).
fn check_leader_epoch(partition: &Partition, known: i32) -> Result<(), ErrorCode> {
    let current = partition.leader_epoch().get();
    match known {
        -1 => Ok(()),
        known if known < current => Err(ErrorCode::FencedLeaderEpoch),
        known if known > current => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
