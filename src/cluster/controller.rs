//! The one place that changes the cluster image.
//!
//! A change is stored first, then hosted (folders and logs), then published: whoever sees a topic
//! in the image can write to it. Changes run one at a time, under one lock, and one that has begun goes
//! on when its client leaves: what is stored and what is in force do not part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::erase::erase;
use crate::config::{AlterError, BrokerConfig, ConfigError, TopicConfig};
use crate::metadata::{
    ClusterImage, LiveImage, MetaStore, MetaStoreError, PartitionImage, StoredTopic, TopicImage,
    TopicNameError, check_topic_name, collides,
};
use crate::model::{BrokerId, LeaderEpoch, TopicId};
use crate::pace::Paces;
use crate::replica::{HostError, Replicas};
use crate::task;

/// How long to wait before the rest of a deleted topic is removed again.
const ERASE_RETRY: Duration = Duration::from_secs(5);
/// Most partitions that one request may make (Kafka's bound).
pub const PARTITIONS_PER_REQUEST_MAX: i32 = 10_000;

/// A topic as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct CreateTopic {
    /// The name.
    pub name: String,
    /// How many partitions; -1 for the broker's default or with `assignments`.
    pub partitions: i32,
    /// How many replicas each; -1 for the broker's default or with `assignments`.
    pub replication_factor: i16,
    /// Replicas by partition number, where the client places them itself.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
    /// Answer as if, but change nothing.
    pub validate_only: bool,
}

/// Why a topic was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicError {
    /// The name breaks a rule.
    #[error("{0}")]
    Name(#[from] TopicNameError),
    /// `a.b` and `a_b` are one name to metrics.
    #[error(
        "topic '{name}' collides with existing topic '{other}': '.' and '_' are the same in metric names"
    )]
    NameCollides {
        /// The name asked for.
        name: String,
        /// The topic that is there.
        other: String,
    },
    /// A topic of this name is there.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// 0, or negative other than -1.
    #[error("number of partitions was set to an invalid non-positive value: {0}")]
    Partitions(i32),
    /// More than the bound of one request.
    #[error("{0} partitions in one request, more than the most of {PARTITIONS_PER_REQUEST_MAX}")]
    TooManyPartitions(i32),
    /// 0, negative other than -1, or more than there are brokers.
    #[error(
        "unable to replicate the partition {wanted} time(s): the cluster has {brokers} broker(s)"
    )]
    ReplicationFactor {
        /// What was asked for.
        wanted: i16,
        /// How many brokers there are.
        brokers: usize,
    },
    /// Partitions or a replication factor beside manual assignments.
    #[error("both partitions or replication factor and a replica assignment were given")]
    AssignmentAndCounts,
    /// Not numbered 0, 1, 2, ..., a replica twice, or an unknown broker.
    #[error("invalid replica assignment: {0}")]
    Assignment(&'static str),
    /// A setting is unknown, out of bounds or at odds with another.
    #[error("{0}")]
    Settings(#[from] ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
    /// The folders or logs could not be made.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a topic did not get more partitions.
#[derive(Debug, thiserror::Error)]
pub enum GrowTopicError {
    /// No such topic.
    #[error("the topic '{0}' does not exist")]
    Unknown(String),
    /// Fewer, or as many as there are.
    #[error("topic '{name}' currently has {have} partition(s), {wanted} would not be an increase")]
    NotMore {
        /// The topic.
        name: String,
        /// Partitions now.
        have: usize,
        /// Partitions asked for.
        wanted: i32,
    },
    /// More than the bound of one request.
    #[error("{0} partitions in one request, more than the most of {PARTITIONS_PER_REQUEST_MAX}")]
    TooMany(i32),
    /// The assignment of the new partitions does not fit.
    #[error("invalid replica assignment: {0}")]
    Assignment(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
    /// The folders or logs could not be made.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a topic was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicError {
    /// No topic of that name.
    #[error("the topic '{0}' does not exist")]
    UnknownName(String),
    /// No topic with that id.
    #[error("no topic with id {0}")]
    UnknownId(TopicId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
}

/// Why a topic's settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlterTopicError {
    /// No such topic.
    #[error("the topic '{0}' does not exist")]
    Unknown(String),
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// A setting is unknown, out of bounds or at odds with another.
    #[error("{0}")]
    Settings(#[from] ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
}

impl From<AlterError> for AlterTopicError {
    fn from(error: AlterError) -> Self {
        match error {
            AlterError::Request(text) => Self::Request(text),
            AlterError::Config(error) => Self::Settings(error),
        }
    }
}

/// Names the topic to delete.
#[derive(Clone, Debug)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// What becomes of the settings that were given.
pub trait SettingsChange:
    FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, AlterError> + Send + 'static
{
}

impl<F> SettingsChange for F where
    F: FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, AlterError>
        + Send
        + 'static
{
}

/// Changes the cluster image, one change at a time.
pub struct Controller {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) image: Arc<LiveImage>,
    pub(super) store: Arc<dyn MetaStore>,
    pub(super) replicas: Arc<Replicas>,
    pub(super) paces: Arc<Paces>,
    pub(super) changing: Mutex<()>,
}

impl Controller {
    /// Wires the controller; `image` must hold what `store` holds.
    pub fn new(
        config: Arc<BrokerConfig>,
        image: Arc<LiveImage>,
        store: Arc<dyn MetaStore>,
        replicas: Arc<Replicas>,
        paces: Arc<Paces>,
    ) -> Self {
        Self { config, image, store, replicas, paces, changing: Mutex::new(()) }
    }

    /// The image of this moment.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.image.load()
    }

    /// Creates a topic (or only checks that it could be). When this returns, it can be written.
    ///
    /// # Errors
    /// The first rule that the request breaks, in Kafka's order, or what the disk said.
    pub async fn create_topic(
        self: &Arc<Self>,
        wanted: CreateTopic,
    ) -> Result<Arc<TopicImage>, CreateTopicError> {
        let controller = self.clone();
        task::to_its_end(async move { controller.create(wanted).await }).await
    }

    async fn create(&self, wanted: CreateTopic) -> Result<Arc<TopicImage>, CreateTopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let topic = self.plan_topic(&image, &wanted)?;
        if wanted.validate_only {
            return Ok(Arc::new(topic));
        }
        self.store.create_topic(&stored(&topic)).await?;
        if let Err(error) = self.replicas.host_topic(&topic).await {
            // Nobody has seen the topic yet: take it back, so that a retry starts clean.
            self.store.mark_deleting(topic.id).await?;
            self.drop_topic(&topic).await;
            return Err(error.into());
        }
        self.image.publish(image.with_topic(topic.clone()));
        Ok(Arc::new(topic))
    }

    fn plan_topic(
        &self,
        image: &ClusterImage,
        wanted: &CreateTopic,
    ) -> Result<TopicImage, CreateTopicError> {
        check_topic_name(&wanted.name)?;
        if image.topic(&wanted.name).is_some() {
            return Err(CreateTopicError::Exists(wanted.name.clone()));
        }
        if let Some(other) = image.topics().find(|topic| collides(&topic.name, &wanted.name)) {
            let other = other.name.to_string();
            return Err(CreateTopicError::NameCollides { name: wanted.name.clone(), other });
        }
        let count = self.plan_partitions(image, wanted)?;
        let policies = &image.policies;
        let config = TopicConfig::new(&self.config, policies, &wanted.name, &wanted.settings)?;
        Ok(TopicImage {
            id: TopicId::random(),
            name: wanted.name.as_str().into(),
            partitions: vec![led_by(image.controller, LeaderEpoch::ZERO); count],
            overrides: wanted.settings.clone(),
            config: Arc::new(config),
        })
    }

    fn plan_partitions(
        &self,
        image: &ClusterImage,
        wanted: &CreateTopic,
    ) -> Result<usize, CreateTopicError> {
        if !wanted.assignments.is_empty() {
            if wanted.partitions != -1 || wanted.replication_factor != -1 {
                return Err(CreateTopicError::AssignmentAndCounts);
            }
            check_assignments(image, 0, &wanted.assignments)
                .map_err(CreateTopicError::Assignment)?;
            return Ok(wanted.assignments.len());
        }
        let partitions =
            if wanted.partitions == -1 { self.config.num_partitions() } else { wanted.partitions };
        if partitions <= 0 {
            return Err(CreateTopicError::Partitions(partitions));
        }
        if partitions > PARTITIONS_PER_REQUEST_MAX {
            return Err(CreateTopicError::TooManyPartitions(partitions));
        }
        let (factor, brokers) = (wanted.replication_factor, image.brokers.len());
        let fits = usize::try_from(factor).is_ok_and(|factor| (1..=brokers).contains(&factor));
        if factor != -1 && !fits {
            return Err(CreateTopicError::ReplicationFactor { wanted: factor, brokers });
        }
        Ok(partitions.unsigned_abs() as usize)
    }

    /// Grows a topic to `count` partitions (or only checks that it could).
    ///
    /// # Errors
    /// When the topic is unknown, `count` is no increase, or an assignment does not fit.
    pub async fn grow_topic(
        self: &Arc<Self>,
        name: String,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    ) -> Result<(), GrowTopicError> {
        let controller = self.clone();
        let grown = async move { controller.grow(name, count, assignments, validate_only).await };
        task::to_its_end(grown).await
    }

    async fn grow(
        &self,
        name: String,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    ) -> Result<(), GrowTopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let Some(topic) = image.topic(&name) else { return Err(GrowTopicError::Unknown(name)) };
        let have = topic.partitions.len();
        if usize::try_from(count).map_or(true, |count| count <= have) {
            return Err(GrowTopicError::NotMore { name, have, wanted: count });
        }
        if count > PARTITIONS_PER_REQUEST_MAX {
            return Err(GrowTopicError::TooMany(count));
        }
        let more = count.unsigned_abs() as usize - have;
        if let Some(assignments) = assignments {
            if assignments.len() != more {
                return Err(GrowTopicError::Assignment("it does not name each new partition once"));
            }
            let numbered: Vec<_> = (0..).zip(assignments).collect();
            check_assignments(&image, 0, &numbered).map_err(GrowTopicError::Assignment)?;
        }
        if validate_only {
            return Ok(());
        }
        let mut grown = TopicImage::clone(topic);
        grown.partitions.resize(have + more, led_by(image.controller, LeaderEpoch::ZERO));
        self.store.grow_topic(topic.id, grown.partitions.len()).await?;
        self.replicas.host_topic(&grown).await?;
        self.image.publish(image.with_topic(grown));
        Ok(())
    }

    /// Deletes a topic: at once for clients, and what it left in the background.
    ///
    /// # Errors
    /// When there is no such topic, or the store failed.
    pub async fn delete_topic(
        self: &Arc<Self>,
        topic: TopicRef,
    ) -> Result<Arc<TopicImage>, DeleteTopicError> {
        let controller = self.clone();
        task::to_its_end(async move { controller.delete(&topic).await }).await
    }

    async fn delete(&self, topic: &TopicRef) -> Result<Arc<TopicImage>, DeleteTopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let topic = match topic {
            TopicRef::Name(name) => {
                image.topic(name).ok_or_else(|| DeleteTopicError::UnknownName(name.clone()))?
            }
            TopicRef::Id(id) => image.topic_by_id(*id).ok_or(DeleteTopicError::UnknownId(*id))?,
        };
        self.store.mark_deleting(topic.id).await?;
        self.image.publish(image.without_topic(topic.id));
        self.drop_topic(topic).await;
        Ok(topic.clone())
    }

    /// Frees a topic's name, and lets what it left go in the background.
    async fn drop_topic(&self, topic: &TopicImage) {
        self.replicas.drop_topic(topic).await;
        let (replicas, store, gone) = (self.replicas.clone(), self.store.clone(), topic.clone());
        tokio::spawn(async move { erase(&replicas, &*store, &gone, ERASE_RETRY).await });
    }

    /// Puts `overrides` in the place of a topic's settings (or only checks that it could).
    ///
    /// # Errors
    /// When the topic is unknown or the settings break a rule.
    pub async fn alter_topic(
        self: &Arc<Self>,
        name: String,
        change: impl SettingsChange,
        validate_only: bool,
    ) -> Result<(), AlterTopicError> {
        let controller = self.clone();
        task::to_its_end(async move { controller.alter(name, change, validate_only).await }).await
    }

    async fn alter(
        &self,
        name: String,
        change: impl SettingsChange,
        validate_only: bool,
    ) -> Result<(), AlterTopicError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let Some(topic) = image.topic(&name) else { return Err(AlterTopicError::Unknown(name)) };
        let overrides = change(&topic.overrides)?;
        let config = TopicConfig::new(&self.config, &image.policies, &name, &overrides)?;
        config.check_change_from(&topic.config)?;
        if validate_only {
            return Ok(());
        }
        self.store.set_overrides(topic.id, &overrides).await?;
        let mut altered = TopicImage::clone(topic);
        altered.overrides = overrides;
        altered.config = Arc::new(config);
        self.replicas.configure_topic(&altered);
        self.image.publish(image.with_topic(altered));
        Ok(())
    }
}

/// A partition that `broker` leads alone.
pub(super) fn led_by(broker: BrokerId, leader_epoch: LeaderEpoch) -> PartitionImage {
    PartitionImage { leader: broker, leader_epoch, replicas: vec![broker], isr: vec![broker] }
}

fn stored(topic: &TopicImage) -> StoredTopic {
    StoredTopic {
        id: topic.id,
        name: topic.name.clone(),
        leader_epochs: topic.partitions.iter().map(|partition| partition.leader_epoch).collect(),
        overrides: topic.overrides.clone(),
        deleting: false,
    }
}

/// Checks that partitions are numbered from `first` on and placed on brokers that are there.
fn check_assignments(
    image: &ClusterImage,
    first: i32,
    assignments: &[(i32, Vec<i32>)],
) -> Result<(), &'static str> {
    let mut numbers: Vec<_> = assignments.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    if !numbers.iter().copied().eq((first..).take(numbers.len())) {
        return Err("partitions must be consecutive, each named once");
    }
    for (_, replicas) in assignments {
        if replicas.is_empty() {
            return Err("a partition has no replica");
        }
        let known = |id: &i32| image.brokers.iter().any(|broker| broker.id == BrokerId(*id));
        if !replicas.iter().all(known) {
            return Err("a replica is on a broker that is not in the cluster");
        }
        let mut distinct = replicas.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() != replicas.len() {
            return Err("a broker is named twice for one partition");
        }
    }
    Ok(())
}
