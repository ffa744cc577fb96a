//! The groups of one partition of `__consumer_offsets`: a state machine without I/O.
//!
//! Invariant: `timers` holds, for every group that has a deadline, one entry that is not later
//! than it. A sign of life only moves deadlines away, so it leaves the entry as it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::ask::{CommitAsk, DescribedGroup, JoinAsk, JoinRefused, LeaveAsk, ListedGroup};
use super::ask::{Joined, MemberRef, SyncAsk, Synced};
use super::group::{Committed, Group};
use super::look::{GroupOffset, GroupsLook};
use super::record::{self, Key};
use super::room::{Place, Room};
use super::step::{KeptRecord, Now, Step};
use crate::model::TopicId;
use crate::wire::messages::coordinator::OffsetCommitValue;
use crate::wire::{DecodeError, ErrorCode};

/// Groups by name.
#[derive(Debug)]
pub(super) struct Shard {
    room: Arc<Room>,
    groups: HashMap<Arc<str>, Slot>,
    timers: BTreeSet<(i64, Arc<str>)>,
}

#[derive(Debug)]
struct Slot {
    group: Group,
    /// Its entry in the timers.
    timer: Option<i64>,
    _place: Place,
}

impl Slot {
    fn new(name: &str, now: Now, place: Place) -> Self {
        Self { group: Group::new(name, now.wall_ms), timer: None, _place: place }
    }
}

impl Shard {
    /// No group yet; they take their places in `room`.
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, groups: HashMap::new(), timers: BTreeSet::new() }
    }

    /// Takes up a join.
    pub(super) fn join(
        &mut self,
        step: &mut Step,
        group: &str,
        ask: JoinAsk,
        reply: oneshot::Sender<Result<Joined, JoinRefused>>,
    ) {
        let member_id = ask.member_id.clone();
        if !member_id.is_empty() && !self.groups.contains_key(group) {
            let code = ErrorCode::UnknownMemberId;
            return step.answer(reply, Err(JoinRefused { code, member_id }));
        }
        if let Err(code) = self.make(step, group) {
            return step.answer(reply, Err(JoinRefused { code, member_id }));
        }
        self.change(group, step, |group, step| group.join(step, ask, reply));
    }

    /// Takes up a sync.
    pub(super) fn sync(
        &mut self,
        step: &mut Step,
        group: &str,
        ask: SyncAsk,
        reply: oneshot::Sender<Result<Synced, ErrorCode>>,
    ) {
        if !self.groups.contains_key(group) {
            return step.answer(reply, Err(ErrorCode::UnknownMemberId));
        }
        self.change(group, step, |group, step| group.sync(step, ask, reply));
    }

    /// A sign of life.
    pub(super) fn heartbeat(
        &mut self,
        step: &Step,
        group: &str,
        member: &MemberRef,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let slot = self.groups.get_mut(group).ok_or(ErrorCode::UnknownMemberId)?;
        slot.group.heartbeat(step, member, generation)
    }

    /// Members leave.
    pub(super) fn leave(&mut self, step: &mut Step, group: &str, ask: &LeaveAsk) -> Vec<ErrorCode> {
        let left = self.change(group, step, |group, step| group.leave(step, ask));
        left.unwrap_or_else(|| vec![ErrorCode::UnknownMemberId; ask.members.len()])
    }

    /// Keeps offsets.
    pub(super) fn commit(
        &mut self,
        step: &mut Step,
        group: &str,
        ask: CommitAsk,
    ) -> Result<Vec<Vec<ErrorCode>>, ErrorCode> {
        if !self.groups.contains_key(group) && ask.generation >= 0 {
            return Err(ask.no_group);
        }
        self.make(step, group)?;
        let committed = self.change(group, step, |group, step| group.commit(step, ask));
        committed.unwrap_or(Err(ErrorCode::UnknownServerError))
    }

    /// A committed offset.
    pub(super) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        self.groups.get(group)?.group.committed(topic, partition).cloned()
    }

    /// Every committed offset of a group, in order.
    pub(super) fn all_committed(&self, group: &str) -> Vec<(String, i32, Committed)> {
        let slot = self.groups.get(group);
        let all = slot.into_iter().flat_map(|slot| slot.group.all_committed());
        all.map(|(topic, partition, kept)| (topic.to_owned(), partition, kept.clone())).collect()
    }

    /// A group as it is.
    pub(super) fn described(&self, group: &str) -> Option<DescribedGroup> {
        Some(self.groups.get(group)?.group.described())
    }

    /// All groups.
    pub(super) fn listed(&self) -> Vec<ListedGroup> {
        self.groups.values().map(|slot| slot.group.listed()).collect()
    }

    /// What the groups add up to, and the committed offsets of some.
    pub(super) fn look(&self, offsets_max: usize) -> GroupsLook {
        let mut seen = GroupsLook::default();
        for (name, slot) in &self.groups {
            seen.by_state[slot.group.state_number()] += 1;
            let left = offsets_max - seen.offsets.len();
            let offset = |(topic, partition, kept): (&str, i32, &Committed)| GroupOffset {
                group: name.clone(),
                topic: topic.to_owned(),
                partition,
                offset: kept.offset,
            };
            seen.offsets.extend(slot.group.all_committed().take(left).map(offset));
        }
        seen
    }

    /// Takes back a group without members.
    pub(super) fn delete(&mut self, step: &mut Step, group: &str) -> Result<(), ErrorCode> {
        let deleted = self.change(group, step, |group, step| group.delete(step));
        deleted.unwrap_or(Err(ErrorCode::GroupIdNotFound))
    }

    /// Takes back offsets.
    pub(super) fn delete_offsets(
        &mut self,
        step: &mut Step,
        group: &str,
        wanted: &[(String, i32)],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let deleted = self.change(group, step, |group, step| group.delete_offsets(step, wanted));
        deleted.unwrap_or(Err(ErrorCode::GroupIdNotFound))
    }

    /// Takes back the offsets of topics that are no more.
    pub(super) fn forget_topics(
        &mut self,
        step: &mut Step,
        is_gone: impl Fn(&str, TopicId) -> bool,
    ) {
        self.change_all(step, |group, step| group.forget_topics(step, &is_gone));
    }

    /// Takes back what nobody has used for too long.
    pub(super) fn expire(&mut self, step: &mut Step) {
        self.change_all(step, Group::expire);
    }

    /// Sends away everyone who waits.
    pub(super) fn release(&mut self, step: &mut Step) {
        self.change_all(step, |group, step| group.release(step));
    }

    /// When something happens without being asked.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, step: &mut Step) {
        while let Some((at, name)) = self.timers.first().cloned() {
            if at > step.now.tick_ms {
                return;
            }
            self.change(&name, step, |group, step| group.on_time(step));
        }
    }

    /// Takes over a record.
    ///
    /// # Errors
    /// When it is not in a form that Kafka writes.
    pub(super) fn replay(
        &mut self,
        now: Now,
        key: &[u8],
        value: Option<Bytes>,
    ) -> Result<(), DecodeError> {
        match record::read_key(key)? {
            Key::Offset(key) => {
                let committed = match &value {
                    Some(value) => {
                        let value: OffsetCommitValue<'_> = record::read_value(value)?;
                        Some(Committed::replayed(value))
                    }
                    None => None,
                };
                let group = self.slot(now, &key.group);
                group.replay_offset(&key.topic, key.partition, committed);
                self.settle(&key.group);
            }
            Key::Group(key) => {
                let group = self.slot(now, &key.group);
                let replayed = match value {
                    Some(value) => group.replay(now, value),
                    None => {
                        group.replay_no_group();
                        Ok(())
                    }
                };
                self.settle(&key.group);
                replayed?;
            }
            Key::Other(kind) => tracing::debug!(kind, "a record of another kind is passed over"),
        }
        Ok(())
    }

    /// Records that bring all of this back, group by group.
    pub(super) fn summary(&self) -> impl Iterator<Item = KeptRecord> + '_ {
        self.groups.values().flat_map(|slot| slot.group.summary())
    }

    /// Makes sure that the group is there.
    ///
    /// # Errors
    /// When there are too many others.
    fn make(&mut self, step: &Step, name: &str) -> Result<(), ErrorCode> {
        if !self.groups.contains_key(name) {
            let place = self.room.place_for_new().ok_or(ErrorCode::GroupMaxSizeReached)?;
            self.groups.insert(Arc::from(name), Slot::new(name, step.now, place));
        }
        Ok(())
    }

    /// The group of a record.
    fn slot(&mut self, now: Now, name: &str) -> &mut Group {
        let fresh = || Slot::new(name, now, self.room.place_for_known());
        &mut self.groups.entry(Arc::from(name)).or_insert_with(fresh).group
    }

    /// Changes a group, if it is there.
    fn change<T>(
        &mut self,
        name: &str,
        step: &mut Step,
        change: impl FnOnce(&mut Group, &mut Step) -> T,
    ) -> Option<T> {
        let changed = change(&mut self.groups.get_mut(name)?.group, step);
        self.settle(name);
        Some(changed)
    }

    fn change_all(&mut self, step: &mut Step, change: impl Fn(&mut Group, &mut Step)) {
        let names: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for name in names {
            self.change(&name, step, &change);
        }
    }

    /// After a change: the group's timer is set anew, and a group of which nothing is left goes.
    fn settle(&mut self, name: &str) {
        let Some((name, slot)) = self.groups.get_key_value(name) else { return };
        let (name, before) = (name.clone(), slot.timer);
        let next = slot.group.next_deadline();
        let stays = slot.group.is_worth_keeping();
        if let Some(before) = before {
            self.timers.remove(&(before, name.clone()));
        }
        if !stays {
            self.groups.remove(&name);
            return;
        }
        if let Some(slot) = self.groups.get_mut(&name) {
            slot.timer = next;
        }
        if let Some(next) = next {
            self.timers.insert((next, name));
        }
    }
}
