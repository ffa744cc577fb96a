//! All groups of this broker: which shard a group belongs to, and the way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::OFFSETS_TOPIC;
use super::ask::{
    CommitAsk, DescribedGroup, JoinAsk, JoinRefused, Joined, LeaveAsk, ListedGroup, MemberRef,
    SyncAsk, Synced,
};
use super::group::Committed;
use super::look::GroupsLook;
use super::room::Room;
use super::shard::Shard;
use super::shard_task::{Mail, ShardTask};
use super::snapshot::{Packer, concat};
use super::step::{Rules, Step};
use crate::env::Clock;
use crate::metadata::{LiveImage, TopicImage};
use crate::model::TopicId;
use crate::record::Codec;
use crate::replica::{Partition, Replicas};
use crate::wire::ErrorCode;

/// Requests that may wait for one shard.
const MAILBOX_LEN: usize = 256;
/// Shards that are read back at a time.
const LOADS_MAX: usize = 4;

/// What groups are made of.
pub struct GroupsParts {
    /// What bounds them.
    pub rules: Rules,
    /// Where `__consumer_offsets` is looked up.
    pub image: Arc<LiveImage>,
    /// Who keeps its partitions.
    pub replicas: Arc<Replicas>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// `offsets.retention.check.interval.ms`.
    pub expire_every: Duration,
    /// A partition of `__consumer_offsets` may grow by so much before it is summed up.
    pub growth_bytes: u64,
}

/// The groups.
pub struct Groups {
    parts: GroupsParts,
    rules: Arc<Rules>,
    room: Arc<Room>,
    running: Mutex<Option<Running>>,
    loads: Arc<Semaphore>,
    tasks: TaskTracker,
    release: CancellationToken,
    stop: CancellationToken,
}

/// The shards of one `__consumer_offsets`: if the topic is made anew, they are too.
struct Running {
    topic: TopicId,
    shards: Arc<[ShardHandle]>,
}

struct ShardHandle {
    number: i32,
    mail: mpsc::Sender<Mail>,
    ready: Arc<AtomicBool>,
}

/// An answer that is awaited. The request has its place in the order of requests already.
pub struct Pending<T> {
    answer: oneshot::Receiver<T>,
    ready: Arc<AtomicBool>,
}

impl<T> Pending<T> {
    /// The answer.
    ///
    /// # Errors
    /// When the coordinator cannot tell; the client asks again.
    pub async fn wait(self) -> Result<T, ErrorCode> {
        self.answer.await.map_err(|_| unavailable(&self.ready))
    }
}

/// What a client is told whose request got lost.
fn unavailable(ready: &AtomicBool) -> ErrorCode {
    if ready.load(Ordering::Acquire) {
        ErrorCode::CoordinatorNotAvailable
    } else {
        ErrorCode::CoordinatorLoadInProgress
    }
}

impl Groups {
    /// The groups of a broker; those that are there are read back from now on.
    pub fn start(parts: GroupsParts) -> Arc<Self> {
        let rules = Arc::new(parts.rules.clone());
        let room = Room::new(rules.groups_max);
        let groups = Arc::new(Self {
            parts,
            rules,
            room,
            running: Mutex::new(None),
            loads: Arc::new(Semaphore::new(LOADS_MAX)),
            tasks: TaskTracker::new(),
            release: CancellationToken::new(),
            stop: CancellationToken::new(),
        });
        // Before the topic is there, there is nothing to read back.
        drop(groups.shards());
        groups
    }

    /// What bounds groups.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sends away everyone who waits for others: the broker is about to end.
    pub fn release(&self) {
        self.release.cancel();
    }

    /// Ends every shard; nothing is written any more when this returns.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The shards, started if `__consumer_offsets` has come to be there.
    fn shards(&self) -> Result<Arc<[ShardHandle]>, ErrorCode> {
        let image = self.parts.image.load();
        let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let mut running = self.running.lock();
        if let Some(running) = running.as_ref().filter(|running| running.topic == topic.id) {
            return Ok(running.shards.clone());
        }
        let shards = self.start_shards(topic)?;
        *running = Some(Running { topic: topic.id, shards: shards.clone() });
        Ok(shards)
    }

    fn start_shards(&self, topic: &TopicImage) -> Result<Arc<[ShardHandle]>, ErrorCode> {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for name in topic.topic_partitions() {
            let partition = self.parts.replicas.partition(&name.topic, name.partition);
            partitions.push(partition.ok_or(ErrorCode::NotCoordinator)?);
        }
        let began = Instant::now();
        let start = |partition: Arc<Partition>| {
            let number = partition.name().partition;
            let (mail, inbox) = mpsc::channel(MAILBOX_LEN);
            let ready = Arc::new(AtomicBool::new(false));
            let task = ShardTask {
                partition,
                replicas: self.parts.replicas.clone(),
                image: self.parts.image.clone(),
                clock: self.parts.clock.clone(),
                rules: self.rules.clone(),
                room: self.room.clone(),
                began,
                ready: ready.clone(),
                loads: self.loads.clone(),
                expire_every: self.parts.expire_every,
                growth_bytes: self.parts.growth_bytes,
                release: self.release.clone(),
                stop: self.stop.clone(),
            };
            self.tasks.spawn(task.run(inbox));
            ShardHandle { number, mail, ready }
        };
        Ok(partitions.into_iter().map(start).collect())
    }

    /// Sends a request to the shard that the group belongs to.
    async fn ask<T: Send + 'static>(
        &self,
        group: &str,
        request: impl FnOnce(&mut Shard, &mut Step, oneshot::Sender<T>) + Send + 'static,
    ) -> Result<Pending<T>, ErrorCode> {
        let shards = self.shards()?;
        send(&shards[shard_of(group, shards.len())], request).await
    }

    /// Sends a request that is going to be written. Where too few replicas are in sync it is
    /// refused beforehand: what has to be read can still be read then.
    async fn ask_to_write<T: Send + 'static>(
        &self,
        group: &str,
        request: impl FnOnce(&mut Shard, &mut Step, oneshot::Sender<T>) + Send + 'static,
    ) -> Result<Pending<T>, ErrorCode> {
        let shards = self.shards()?;
        let shard = &shards[shard_of(group, shards.len())];
        if let Some(topic) = self.parts.image.load().topic(OFFSETS_TOPIC)
            && let Err(error) = topic.check_in_sync(shard.number)
        {
            tracing::debug!(group, %error, "a group was not written");
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        send(shard, request).await
    }

    /// Takes up a join; the answer comes when its generation is closed.
    pub async fn join(
        &self,
        group: String,
        ask: JoinAsk,
    ) -> Result<Pending<Result<Joined, JoinRefused>>, ErrorCode> {
        let to = group.clone();
        self.ask_to_write(&to, move |shard, step, reply| shard.join(step, &group, ask, reply)).await
    }

    /// Takes up a sync; the answer comes when the leader has assigned.
    pub async fn sync(
        &self,
        group: String,
        ask: SyncAsk,
    ) -> Result<Pending<Result<Synced, ErrorCode>>, ErrorCode> {
        let to = group.clone();
        self.ask_to_write(&to, move |shard, step, reply| shard.sync(step, &group, ask, reply)).await
    }

    /// A member's sign of life.
    ///
    /// # Errors
    /// What the member has to do about it.
    pub async fn heartbeat(
        &self,
        group: String,
        member: MemberRef,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let to = group.clone();
        let pending = self.ask(&to, move |shard, step, reply| {
            let heard = shard.heartbeat(step, &group, &member, generation);
            step.answer(reply, heard);
        });
        pending.await?.wait().await?
    }

    /// Members leave: how it went for each, in the order of the request.
    ///
    /// # Errors
    /// When the coordinator cannot tell.
    pub async fn leave(&self, group: String, ask: LeaveAsk) -> Result<Vec<ErrorCode>, ErrorCode> {
        let to = group.clone();
        let pending = self.ask_to_write(&to, move |shard, step, reply| {
            let left = shard.leave(step, &group, &ask);
            step.answer(reply, left);
        });
        pending.await?.wait().await
    }

    /// Keeps offsets; the answer comes when they are durable.
    pub async fn commit(
        &self,
        group: String,
        ask: CommitAsk,
    ) -> Result<Pending<Result<Vec<Vec<ErrorCode>>, ErrorCode>>, ErrorCode> {
        let to = group.clone();
        self.ask_to_write(&to, move |shard, step, reply| {
            let committed = shard.commit(step, &group, ask);
            step.answer(reply, committed);
        })
        .await
    }

    /// The committed offsets of these partitions, in their order.
    ///
    /// # Errors
    /// When the coordinator cannot tell.
    pub async fn committed(
        &self,
        group: String,
        wanted: Vec<(String, i32)>,
    ) -> Result<Vec<Option<Committed>>, ErrorCode> {
        let to = group.clone();
        let pending = self.ask(&to, move |shard, step, reply| {
            let of = |(topic, number): &(String, i32)| shard.committed(&group, topic, *number);
            let found = wanted.iter().map(of).collect();
            step.answer(reply, found);
        });
        pending.await?.wait().await
    }

    /// Every committed offset of a group, in the order of topics and partitions.
    ///
    /// # Errors
    /// When the coordinator cannot tell.
    pub async fn all_committed(
        &self,
        group: String,
    ) -> Result<Vec<(String, i32, Committed)>, ErrorCode> {
        let to = group.clone();
        let pending = self.ask(&to, move |shard, step, reply| {
            let all = shard.all_committed(&group);
            step.answer(reply, all);
        });
        pending.await?.wait().await
    }

    /// A group as it is; `None` when there is none.
    ///
    /// # Errors
    /// When the coordinator cannot tell.
    pub async fn describe(&self, group: String) -> Result<Option<DescribedGroup>, ErrorCode> {
        let to = group.clone();
        let pending = self.ask(&to, move |shard, step, reply| {
            let described = shard.described(&group);
            step.answer(reply, described);
        });
        pending.await?.wait().await
    }

    /// All groups.
    ///
    /// # Errors
    /// When a shard cannot tell.
    pub async fn list(&self) -> Result<Vec<ListedGroup>, ErrorCode> {
        let Ok(shards) = self.shards() else { return Ok(Vec::new()) };
        let list = |shard| async move {
            let list = |shard: &mut Shard, step: &mut Step, reply| {
                let listed = shard.listed();
                step.answer(reply, listed);
            };
            send(shard, list).await?.wait().await
        };
        let mut all = Vec::new();
        for listed in join_all(shards.iter().map(list)).await {
            all.append(&mut listed?);
        }
        all.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(all)
    }

    /// What all groups add up to, and at most `offsets_max` of their committed offsets. Those that are
    /// being read back are left out.
    pub async fn look(&self, offsets_max: usize) -> GroupsLook {
        let mut all = GroupsLook::default();
        let Ok(shards) = self.shards() else { return all };
        for shard in shards.iter() {
            let left = offsets_max - all.offsets.len();
            let look = move |shard: &mut Shard, step: &mut Step, reply| {
                let seen = shard.look(left);
                step.answer(reply, seen);
            };
            let Ok(pending) = send(shard, look).await else { continue };
            if let Ok(seen) = pending.wait().await {
                all.add(seen);
            }
        }
        all
    }

    /// How many parts of the groups are being read back, and of how many.
    #[must_use]
    pub fn loading(&self) -> (usize, usize) {
        let Ok(shards) = self.shards() else { return (0, 0) };
        let loading = shards.iter().filter(|shard| !shard.ready.load(Ordering::Acquire));
        (loading.count(), shards.len())
    }

    /// All groups as they are on stable storage: record batches, for [`super::restore_groups`].
    ///
    /// # Errors
    /// When a shard cannot tell.
    pub async fn snapshot(&self) -> Result<Bytes, ErrorCode> {
        let mut packer = Packer::new(Codec::Zstd, self.parts.clock.now_ms());
        for shard in self.shards()?.iter() {
            let summary = |shard: &mut Shard, step: &mut Step, reply| {
                let records: Vec<_> = shard.summary().collect();
                step.answer(reply, records);
            };
            let records = send(shard, summary).await?.wait().await?;
            let packed = tokio::task::spawn_blocking(move || {
                records.iter().try_for_each(|record| packer.push(record)).map(|()| packer)
            });
            packer = packed.await.ok().and_then(Result::ok).ok_or(ErrorCode::UnknownServerError)?;
        }
        let batches = packer.finish().map_err(|_| ErrorCode::UnknownServerError)?;
        Ok(concat(&batches))
    }

    /// Takes back a group without members.
    ///
    /// # Errors
    /// When there is none, or somebody is in it.
    pub async fn delete(&self, group: String) -> Result<(), ErrorCode> {
        let to = group.clone();
        let pending = self.ask_to_write(&to, move |shard, step, reply| {
            let deleted = shard.delete(step, &group);
            step.answer(reply, deleted);
        });
        pending.await?.wait().await?
    }

    /// Takes back offsets: how it went for each, in the order of the request.
    ///
    /// # Errors
    /// When there is no such group, or its members are not consumers.
    pub async fn delete_offsets(
        &self,
        group: String,
        wanted: Vec<(String, i32)>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let to = group.clone();
        let pending = self.ask_to_write(&to, move |shard, step, reply| {
            let deleted = shard.delete_offsets(step, &group, &wanted);
            step.answer(reply, deleted);
        });
        pending.await?.wait().await?
    }

    /// Takes back the offsets of a deleted topic. A shard that is being read back looks for
    /// topics that are no more by itself, so nothing is lost when this is not heard.
    pub async fn topic_deleted(&self, topic: &TopicImage) {
        let Ok(shards) = self.shards() else { return };
        for shard in shards.iter().filter(|shard| shard.ready.load(Ordering::Acquire)) {
            let (name, id) = (topic.name.clone(), topic.id);
            let forget = move |shard: &mut Shard, step: &mut Step| {
                let is_it = |other: &str, other_id| {
                    *other == *name && (other_id == id || other_id == TopicId::ZERO)
                };
                shard.forget_topics(step, is_it);
            };
            drop(shard.mail.send(Box::new(forget)).await);
        }
    }
}

async fn send<T: Send + 'static>(
    shard: &ShardHandle,
    request: impl FnOnce(&mut Shard, &mut Step, oneshot::Sender<T>) + Send + 'static,
) -> Result<Pending<T>, ErrorCode> {
    if !shard.ready.load(Ordering::Acquire) {
        return Err(ErrorCode::CoordinatorLoadInProgress);
    }
    let (reply, answer) = oneshot::channel();
    let mail: Mail = Box::new(move |shard, step| request(shard, step, reply));
    let sent = shard.mail.send(mail).await;
    sent.map_err(|_| ErrorCode::NotCoordinator)?;
    Ok(Pending { answer, ready: shard.ready.clone() })
}

/// Kafka's own choice: Java's hash of the name, so that a Kafka broker finds the same partition.
pub(super) fn shard_of(group: &str, shards: usize) -> usize {
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX).unsigned_abs() as usize % shards.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hash_as_java_does() {
        // "abc".hashCode() is 96354, "polygenelubricants".hashCode() is -2147483648.
        assert_eq!(shard_of("abc", 50), 96354 % 50);
        assert_eq!(shard_of("polygenelubricants", 50), 0);
        assert_eq!(shard_of("", 50), 0);
    }
}
