//! One look at the store: what its broker has told, and what there is of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use icecore_tiering::{ManifestError, MetaError, ReadError, StoreError, Tiering};

use super::partition::{How, Stand, follow};
use super::told::{ToldPartition, ToldTopic, told};
use crate::app::meta::CLUSTER;
use crate::cluster::{ClusterSnapshot, Controller, SnapshotError};
use crate::config::BrokerConfig;
use crate::metadata::{StoredTopic, TopicImage};
use crate::model::{LeaderEpoch, TopicId, TopicPartition};
use crate::replica::{HostError, MoveError, Replicas, Suspects};

/// Partitions that are looked at at a time.
const AT_ONCE: usize = 16;
/// So many looks make one that lists every partition: for what the broker uploaded and could not tell
/// any more.
const ALL_LISTED_EVERY: u64 = 60;
/// Partitions that are named where several are behind.
const NAMED_MAX: usize = 5;

/// Why a look did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The store has no snapshot yet.
    #[error("the cluster's broker has not told its topics to the store yet")]
    NothingTold,
    /// The snapshot of topics cannot be read now.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The snapshot does not read, although its bytes are whole.
    #[error("{0}: read it with the version of icecore that wrote it")]
    Snapshot(#[from] SnapshotError),
    /// A partition cannot be followed now.
    #[error(transparent)]
    Follow(#[from] icecore_tiering::FollowError),
    /// An index cannot be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A partition cannot be hosted.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A partition cannot be moved to its end.
    #[error(transparent)]
    Move(#[from] MoveError),
}

impl LookError {
    /// Whether it may be over after a while with nobody doing anything here.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NothingTold => true,
            Self::Meta(MetaError::Store(error)) | Self::Store(error) => error.may_pass(),
            Self::Meta(MetaError::Vouch(error)) => error.may_pass(),
            Self::Follow(error) => error.may_pass(),
            Self::Read(error) => error.may_pass(),
            Self::Meta(_) | Self::Snapshot(_) => false,
            Self::Manifest(_) | Self::Host(_) | Self::Move(_) => false,
        }
    }

    /// Whether nothing was sent, because the store is left alone for a while.
    pub(super) fn is_left_alone(&self) -> bool {
        match self {
            Self::Meta(MetaError::Store(error)) | Self::Store(error) => error.is_left_alone(),
            Self::Read(error) => error.is_left_alone(),
            _ => false,
        }
    }
}

/// What a look that came to its end could not see, although it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Partitions whose segments are not all shown by the store's lists.
    pub(super) behind: Vec<String>,
    /// When the broker wrote what it told last, by its clock, in milliseconds since 1970.
    pub(super) told_ms: Option<i64>,
}

impl Looked {
    /// In words; `None` when all was seen.
    pub(super) fn amiss(&self) -> Option<String> {
        let first = &self.behind[..self.behind.len().min(NAMED_MAX)];
        let more = match self.behind.len() - first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = || format!("the store's lists do not show all of {}{more}", first.join(", "));
        (!first.is_empty()).then(shown)
    }
}

/// What one looks with.
pub(in crate::app) struct EyeParts {
    pub(in crate::app) config: Arc<BrokerConfig>,
    pub(in crate::app) tiering: Arc<Tiering>,
    pub(in crate::app) replicas: Arc<Replicas>,
    pub(in crate::app) controller: Arc<Controller>,
    pub(in crate::app) suspects: Arc<Suspects>,
}

/// The broker's last snapshot.
struct Word {
    number: u64,
    /// When it was written, by the broker's clock, in milliseconds since 1970.
    written_ms: i64,
    topics: Vec<ToldTopic>,
}

/// Looks at the store, and knows what it saw last.
pub(in crate::app) struct Eye {
    parts: EyeParts,
    looks: u64,
    told: Option<Word>,
    /// Whether all that was told is hosted.
    hosted: bool,
    stands: HashMap<TopicPartition, Stand>,
    /// Topics as clients see them.
    shown: HashMap<TopicId, StoredTopic>,
    /// Topics that were dropped since they were asked for.
    gone: Vec<Arc<TopicImage>>,
}

impl Eye {
    /// One that has seen nothing.
    pub(in crate::app) fn new(parts: EyeParts) -> Self {
        Self {
            parts,
            looks: 0,
            told: None,
            hosted: false,
            stands: HashMap::new(),
            shown: HashMap::new(),
            gone: Vec::new(),
        }
    }

    /// Where readers name what they miss.
    pub(super) fn suspects(&self) -> &Arc<Suspects> {
        &self.parts.suspects
    }

    /// The topics that were dropped since the last call.
    pub(super) fn take_gone(&mut self) -> Vec<Arc<TopicImage>> {
        std::mem::take(&mut self.gone)
    }

    /// Looks once.
    ///
    /// # Errors
    /// [`LookError`]: what could be seen is served, and the rest as it was seen before.
    pub(super) async fn look(&mut self) -> Result<Looked, LookError> {
        let suspects = self.parts.suspects.begin_look();
        let looked = self.look_at_all(&suspects).await;
        self.parts.suspects.end_look();
        looked
    }

    async fn look_at_all(
        &mut self,
        suspects: &BTreeSet<TopicPartition>,
    ) -> Result<Looked, LookError> {
        self.hear().await?;
        let Some(Word { topics, written_ms, .. }) = &self.told else {
            return Err(LookError::NothingTold);
        };
        let told_ms = Some(*written_ms);
        if !self.hosted {
            let stored: Vec<_> = topics.iter().map(|topic| topic.stored.clone()).collect();
            let (gone, hosted) = self.parts.controller.host_followed(&stored).await;
            self.gone.extend(gone);
            hosted?;
            self.hosted = true;
        }
        let (looked, failed) = self.look_at_partitions(suspects).await;
        self.show().await;
        match failed {
            Some(error) => Err(error),
            None => {
                self.looks += 1;
                Ok(Looked { told_ms, ..looked })
            }
        }
    }

    /// Takes in the broker's last word, if there is a new one.
    async fn hear(&mut self) -> Result<(), LookError> {
        let known = self.told.as_ref().map_or(0, |word| word.number);
        let found = self.parts.tiering.meta_after(CLUSTER, known).await?;
        if let Some(newest) = found.newest {
            let snapshot = ClusterSnapshot::decode(&newest.payload)?;
            let policies = self.parts.controller.follow_policies(snapshot.policies).await;
            let topics = told(&self.parts.config, &policies, snapshot.topics);
            let (number, written_ms) = (newest.number, newest.written_ms);
            self.told = Some(Word { number, written_ms, topics });
            self.hosted = false;
        }
        Ok(())
    }

    /// Looks at the partitions of which there may be more than is known, and gives the first failure.
    async fn look_at_partitions(
        &mut self,
        suspects: &BTreeSet<TopicPartition>,
    ) -> (Looked, Option<LookError>) {
        let all_listed = self.looks.is_multiple_of(ALL_LISTED_EVERY);
        let topics = self.told.iter().flat_map(|word| &word.topics);
        let partitions: Vec<&ToldPartition> = topics.flat_map(|topic| &topic.partitions).collect();
        let parts = &self.parts;
        let work: Vec<_> = partitions
            .iter()
            .map(|told| {
                let stand =
                    self.stands.get(&told.name).filter(|stand| stand.topic == told.key.topic_id);
                let stand = stand.cloned().unwrap_or_else(|| Stand::new(told.key.topic_id));
                let how = How { list: all_listed, suspect: suspects.contains(&told.name) };
                async move {
                    let followed = follow(&parts.tiering, &parts.replicas, told, stand, how).await;
                    (told.name.clone(), followed)
                }
            })
            .collect();
        let mut work = stream::iter(work).buffer_unordered(AT_ONCE);
        let (mut looked, mut failed) = (Looked::default(), None);
        let mut stands = HashMap::with_capacity(partitions.len());
        while let Some((name, followed)) = work.next().await {
            match followed {
                Ok(stand) => {
                    if stand.behind {
                        looked.behind.push(name.to_string());
                    }
                    stands.insert(name, stand);
                }
                Err(error) => {
                    if failed.is_none() {
                        tracing::debug!(partition = %name, %error, "a partition cannot be followed now");
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        drop(work);
        // One that failed stands as before; one that is told of no more is forgotten.
        for told in partitions {
            if !stands.contains_key(&told.name)
                && let Some(before) = self.stands.remove(&told.name)
            {
                stands.insert(told.name.clone(), before);
            }
        }
        self.stands = stands;
        looked.behind.sort();
        (looked, failed)
    }

    /// Shows clients the topics whose partitions are all where their leader is.
    async fn show(&mut self) {
        let topics = self.told.iter().flat_map(|word| &word.topics);
        let seen = topics.filter_map(|topic| {
            let epoch = |told: &ToldPartition| -> Option<LeaderEpoch> {
                let stand = self.stands.get(&told.name)?;
                let is_there = stand.known && stand.topic == told.key.topic_id;
                is_there.then_some(stand.leader_epoch)
            };
            let leader_epochs = topic.partitions.iter().map(epoch).collect::<Option<_>>()?;
            Some(StoredTopic { leader_epochs, ..topic.stored.clone() })
        });
        let seen: HashMap<_, _> = seen.map(|topic| (topic.id, topic)).collect();
        let is_new = |topic: &&StoredTopic| self.shown.get(&topic.id) != Some(*topic);
        let changed: Vec<_> = seen.values().filter(is_new).cloned().collect();
        if !changed.is_empty() {
            self.parts.controller.show_followed(&changed).await;
        }
        self.shown = seen;
    }
}
