//! One group: its members, its generation and its offsets.
//!
//! Invariants: `instances` names members that are there; a leader is a member; `Empty` has no
//! member and any other phase has one, but for a rebalance that waits for announced ones. Time
//! comes from the step; whoever changed a group asks for [`Group::next_deadline`] afterwards.

mod describe;
mod join;
mod keep;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod sync;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(super) use member::Member;
pub use offsets::Committed;

use super::ask::MemberRef;
use super::step::Step;
use crate::wire::ErrorCode;
use offsets::Offsets;

/// The protocol type of groups whose members are consumers.
const CONSUMER: &str = "consumer";

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody is in it.
    Empty,
    /// Members are joining the next generation until the deadline.
    Joining { deadline: i64, first: Option<FirstRound> },
    /// The generation is closed, its assignment is awaited.
    Syncing,
    /// The assignment is there.
    Stable,
}

/// A rebalance of a group that was empty: it waits a while for others, and longer while more come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstRound {
    remaining_ms: i64,
    someone_came: bool,
}

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    phase: Phase,
    /// When it came to be empty or stable, by the time of day.
    since_ms: i64,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Static members: lasting name to id.
    instances: BTreeMap<String, String>,
    /// Ids that were given out and have not come back, until when.
    announced: BTreeMap<String, i64>,
    /// Until when all members have to ask for their assignment.
    sync_deadline: Option<i64>,
    /// The value of the last record.
    kept: Option<Bytes>,
    offsets: Offsets,
}

impl Group {
    pub(super) fn new(name: &str, wall_ms: i64) -> Self {
        Self {
            name: name.to_owned(),
            phase: Phase::Empty,
            since_ms: wall_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            announced: BTreeMap::new(),
            sync_deadline: None,
            kept: None,
            offsets: Offsets::default(),
        }
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(super) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub(super) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    pub(super) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Whether anybody would miss it: it has a record, an offset or somebody on the way.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.kept.is_some()
            || !self.offsets.is_empty()
            || !self.members.is_empty()
            || !self.announced.is_empty()
    }

    /// Finds the member that names itself so.
    fn check_member(&self, member: &MemberRef) -> Result<(), ErrorCode> {
        if let Some(instance) = &member.instance_id {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(id) if *id != member.member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(&member.member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    fn check_generation(&self, member: &MemberRef, generation: i32) -> Result<(), ErrorCode> {
        self.check_member(member)?;
        if generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Notes that a member lives.
    fn heard_from(&mut self, id: &str, tick_ms: i64) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard(tick_ms);
        }
    }

    /// The next time at which something happens without being asked.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        let joining = match self.phase {
            Phase::Joining { deadline, .. } => Some(deadline),
            _ => None,
        };
        let members = self.members.values().map(|member| member.expires);
        let announced = self.announced.values().copied();
        members.chain(announced).chain(joining).chain(self.sync_deadline).min()
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, step: &mut Step) {
        self.expire_announced(step);
        self.expire_members(step);
        let now = step.now.tick_ms;
        if self.sync_deadline.is_some_and(|deadline| deadline <= now) {
            self.end_sync_wait(step);
        }
        if matches!(self.phase, Phase::Joining { deadline, .. } if deadline <= now) {
            self.end_join_wait(step);
        }
    }

    fn expire_announced(&mut self, step: &mut Step) {
        let before = self.announced.len();
        self.announced.retain(|_, until| *until > step.now.tick_ms);
        if self.announced.len() < before {
            self.complete_join_if_all_came(step);
        }
    }

    fn expire_members(&mut self, step: &mut Step) {
        let now = step.now.tick_ms;
        let due = |(id, member): (&String, &mut Member)| {
            if member.expires > now {
                return None;
            }
            if member.is_parked() && !member.is_new {
                // It waits for us, not we for it.
                member.heard(now);
                return None;
            }
            Some(id.clone())
        };
        let silent: Vec<String> = self.members.iter_mut().filter_map(due).collect();
        if silent.is_empty() {
            return;
        }
        for id in &silent {
            tracing::info!(group = %self.name, member = %id, "a member was not heard from in time");
            self.remove_member(step, id);
        }
        self.rebalance_after_loss(step);
    }
}
