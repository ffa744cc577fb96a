//! Committed offsets: kept, taken back, expired.

use std::collections::{BTreeMap, HashSet};

use super::{CONSUMER, Group, Phase};
use crate::coordinator::ask::CommitAsk;
use crate::coordinator::record;
use crate::coordinator::step::Step;
use crate::model::TopicId;
use crate::wire::messages::coordinator::{ConsumerProtocolSubscription, OffsetCommitValue};
use crate::wire::{Decoder, ErrorCode, Message as _};

/// Where a group will go on reading a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// The epoch of the last one read; -1 when not known.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: Box<str>,
    /// When it was committed, by the time of day.
    pub commit_ms: i64,
    /// When it is forgotten, if the client said so.
    pub expire_ms: Option<i64>,
    /// The topic's identity; zero when not known.
    pub topic_id: TopicId,
}

impl Committed {
    /// As its record tells.
    pub(in crate::coordinator) fn replayed(value: OffsetCommitValue<'_>) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            commit_ms: value.commit_timestamp,
            expire_ms: Some(value.expire_timestamp).filter(|at| *at != -1),
            topic_id: value.topic_id,
        }
    }
}

/// By topic, then by partition; a topic that is there has a partition.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<String, BTreeMap<i32, Committed>>);

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.0.iter().flat_map(|(topic, by_partition)| {
            by_partition.iter().map(move |(partition, kept)| (topic.as_str(), *partition, kept))
        })
    }

    fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.0.get(topic)?.get(&partition)
    }

    fn insert(&mut self, topic: &str, partition: i32, committed: Committed) {
        match self.0.get_mut(topic) {
            Some(by_partition) => drop(by_partition.insert(partition, committed)),
            None => drop(self.0.insert(topic.to_owned(), [(partition, committed)].into())),
        }
    }

    fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(by_partition) = self.0.get_mut(topic) else { return false };
        let was_there = by_partition.remove(&partition).is_some();
        if by_partition.is_empty() {
            self.0.remove(topic);
        }
        was_there
    }
}

impl Group {
    /// Whether this member may commit now.
    fn check_commit(&self, ask: &CommitAsk) -> Result<(), ErrorCode> {
        let member = &ask.member;
        if ask.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if ask.generation < 0 && member.member_id.is_empty() && member.instance_id.is_none() {
            // Someone who assigns by itself would overwrite what members commit.
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_generation(member, ask.generation)?;
        match self.phase {
            Phase::Syncing => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Keeps offsets: for every topic and partition of the request, in its order, how it went.
    pub(in crate::coordinator) fn commit(
        &mut self,
        step: &mut Step,
        ask: CommitAsk,
    ) -> Result<Vec<Vec<ErrorCode>>, ErrorCode> {
        self.check_commit(&ask)?;
        self.heard_from(&ask.member.member_id, step.now.tick_ms);
        let commit_ms = step.now.wall_ms;
        let expire_ms = ask.retention_ms.map(|ms| commit_ms.saturating_add(ms));
        let mut codes = Vec::with_capacity(ask.topics.len());
        for topic in ask.topics {
            let mut of_topic = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                if partition.metadata.len() > step.rules.offset_metadata_bytes_max {
                    of_topic.push(ErrorCode::OffsetMetadataTooLarge);
                    continue;
                }
                let committed = Committed {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata.into(),
                    commit_ms,
                    expire_ms,
                    topic_id: topic.topic_id,
                };
                let (name, number) = (&topic.name, partition.partition);
                step.records.push(record::offset(&self.name, name, number, Some(&committed)));
                self.offsets.insert(name, number, committed);
                of_topic.push(ErrorCode::None);
            }
            codes.push(of_topic);
        }
        Ok(codes)
    }

    /// A committed offset.
    pub(in crate::coordinator) fn committed(
        &self,
        topic: &str,
        partition: i32,
    ) -> Option<&Committed> {
        self.offsets.get(topic, partition)
    }

    /// Every committed offset, in the order of topics and partitions.
    pub(in crate::coordinator) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.offsets.iter()
    }

    /// Takes over what a record says.
    pub(in crate::coordinator) fn replay_offset(
        &mut self,
        topic: &str,
        partition: i32,
        committed: Option<Committed>,
    ) {
        match committed {
            Some(committed) => self.offsets.insert(topic, partition, committed),
            None => drop(self.offsets.remove(topic, partition)),
        }
    }

    /// Takes offsets back; what was not there counts as taken.
    pub(in crate::coordinator) fn delete_offsets(
        &mut self,
        step: &mut Step,
        wanted: &[(String, i32)],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let consumers = self.protocol_type.as_deref() == Some(CONSUMER);
        if self.phase != Phase::Empty && !consumers {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let subscribed = self.subscribed();
        let mut codes = Vec::with_capacity(wanted.len());
        for (topic, partition) in wanted {
            if subscribed.has(topic) {
                codes.push(ErrorCode::GroupSubscribedToTopic);
                continue;
            }
            self.forget_offset(step, topic, *partition);
            codes.push(ErrorCode::None);
        }
        Ok(codes)
    }

    fn forget_offset(&mut self, step: &mut Step, topic: &str, partition: i32) {
        if self.offsets.remove(topic, partition) {
            step.records.push(record::offset(&self.name, topic, partition, None));
        }
    }

    /// Takes back the offsets that `is_gone` tells of.
    fn forget_offsets(&mut self, step: &mut Step, is_gone: impl Fn(&str, &Committed) -> bool) {
        let gone = self.offsets.iter().filter(|(topic, _, committed)| is_gone(topic, committed));
        let gone: Vec<_> = gone.map(|(topic, number, _)| (topic.to_owned(), number)).collect();
        for (topic, partition) in gone {
            self.forget_offset(step, &topic, partition);
        }
    }

    /// Takes back the offsets of topics that are no more.
    pub(in crate::coordinator) fn forget_topics(
        &mut self,
        step: &mut Step,
        is_gone: &impl Fn(&str, TopicId) -> bool,
    ) {
        self.forget_offsets(step, |topic, committed| is_gone(topic, committed.topic_id));
    }

    /// Takes back the offsets whose time is over, and an empty group that has none left (KIP-211).
    pub(in crate::coordinator) fn expire(&mut self, step: &mut Step) {
        let (now_ms, keep_ms) = (step.now.wall_ms, step.rules.offsets_retention_ms);
        let standalone = self.protocol_type.is_none();
        let emptied_ms = (self.phase == Phase::Empty && !standalone).then_some(self.since_ms);
        let subscribed = self.subscribed();
        let lasting = match self.phase {
            Phase::Empty => false,
            Phase::Stable => self.protocol_type.as_deref() != Some(CONSUMER),
            Phase::Joining { .. } | Phase::Syncing => true,
        };
        if !lasting {
            self.forget_offsets(step, |topic, committed| {
                if subscribed.has(topic) {
                    return false;
                }
                match committed.expire_ms {
                    Some(at) => now_ms >= at,
                    None => {
                        let since = emptied_ms
                            .map_or(committed.commit_ms, |ms| ms.max(committed.commit_ms));
                        now_ms - since >= keep_ms
                    }
                }
            });
        }
        let idle = self.phase == Phase::Empty && self.announced.is_empty();
        if idle && self.offsets.is_empty() && self.kept.take().is_some() {
            step.records.push(record::no_group(&self.name));
        }
    }

    /// Takes back the whole group.
    ///
    /// # Errors
    /// When somebody is in it.
    pub(in crate::coordinator) fn delete(&mut self, step: &mut Step) -> Result<(), ErrorCode> {
        if self.phase != Phase::Empty {
            return Err(ErrorCode::NonEmptyGroup);
        }
        self.forget_offsets(step, |_, _| true);
        self.announced.clear();
        if self.kept.take().is_some() {
            step.records.push(record::no_group(&self.name));
        }
        Ok(())
    }

    /// What the members read by their own words.
    fn subscribed(&self) -> Subscribed {
        if self.protocol_type.as_deref() != Some(CONSUMER) || self.members.is_empty() {
            return Subscribed::To(HashSet::new());
        }
        let mut topics = HashSet::new();
        for member in self.members.values() {
            // Between two generations the newest words of each member count.
            let metadata = match &self.protocol {
                Some(chosen) => member.metadata_for(Some(chosen)),
                None => member.protocols.first().map(|(_, m)| m.clone()).unwrap_or_default(),
            };
            match subscription(&metadata) {
                Some(named) => topics.extend(named),
                None => return Subscribed::Unknown,
            }
        }
        Subscribed::To(topics)
    }
}

enum Subscribed {
    To(HashSet<String>),
    /// Somebody's words are not understood: it may be any topic.
    Unknown,
}

impl Subscribed {
    fn has(&self, topic: &str) -> bool {
        match self {
            Self::To(topics) => topics.contains(topic),
            Self::Unknown => true,
        }
    }
}

/// The topics that a consumer's metadata names.
fn subscription(metadata: &[u8]) -> Option<Vec<String>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    let version = i16::from_be_bytes(*version);
    let known = version.min(*ConsumerProtocolSubscription::VERSIONS.end());
    let read = ConsumerProtocolSubscription::decode(&mut Decoder::over(rest), known).ok()?;
    Some(read.topics.into_iter().map(Into::into).collect())
}
