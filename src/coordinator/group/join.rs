//! JoinGroup: who may be in the next generation.

use super::member::JoinReply;
use super::{Group, Member, Phase};
use crate::coordinator::ask::{JoinAsk, JoinRefused, Joined, JoinedMember, MemberRef};
use crate::coordinator::step::Step;
use crate::wire::ErrorCode;

/// Ids of one group that are given out and may still come back.
const ANNOUNCED_MAX: usize = 10_000;

fn refuse(step: &mut Step, reply: JoinReply, code: ErrorCode, member_id: String) {
    step.answer(reply, Err(JoinRefused { code, member_id }));
}

impl Group {
    /// Takes up a join; it is answered at once or when its generation is closed.
    pub(in crate::coordinator) fn join(&mut self, step: &mut Step, ask: JoinAsk, reply: JoinReply) {
        if !self.has_room_for(&ask, step.rules.members_max) {
            return refuse(step, reply, ErrorCode::GroupMaxSizeReached, String::new());
        }
        if !self.can_join_with(&ask) {
            return refuse(step, reply, ErrorCode::InconsistentGroupProtocol, ask.member_id);
        }
        if ask.member_id.is_empty() {
            self.join_new(step, ask, reply);
        } else if self.announced.contains_key(&ask.member_id) {
            if ask.instance_id.is_some() {
                return refuse(step, reply, ErrorCode::UnknownMemberId, ask.member_id);
            }
            let id = ask.member_id.clone();
            self.add_member(step, id, ask, reply);
        } else {
            self.join_again(step, ask, reply);
        }
    }

    fn has_room_for(&self, ask: &JoinAsk, members_max: usize) -> bool {
        let instance = ask.instance_id.as_ref();
        if instance.is_some_and(|instance| self.instances.contains_key(instance)) {
            return true;
        }
        match self.phase {
            Phase::Empty => true,
            Phase::Joining { .. } => {
                let joining = |member: &Member| member.joining.is_some();
                self.members.get(&ask.member_id).is_some_and(joining)
                    || self.members.values().filter(|member| joining(member)).count() < members_max
            }
            Phase::Syncing | Phase::Stable => {
                self.members.contains_key(&ask.member_id) || self.members.len() < members_max
            }
        }
    }

    /// Whether a protocol remains that all members can do.
    fn can_join_with(&self, ask: &JoinAsk) -> bool {
        if ask.protocol_type.is_empty() || ask.protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(&*ask.protocol_type)
            && ask
                .protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.supports(name)))
    }

    fn join_new(&mut self, step: &mut Step, ask: JoinAsk, reply: JoinReply) {
        let id = ask.fresh_id.clone();
        if let Some(instance) = &ask.instance_id {
            return match self.instances.get(instance).cloned() {
                Some(old) => self.join_in_place_of(step, &old, id, ask, reply),
                None => self.add_member(step, id, ask, reply),
            };
        }
        if ask.known_member_only {
            if self.announced.len() >= ANNOUNCED_MAX {
                return refuse(step, reply, ErrorCode::GroupMaxSizeReached, String::new());
            }
            let until = step.now.tick_ms + i64::from(ask.session_timeout_ms);
            self.announced.insert(id.clone(), until);
            return refuse(step, reply, ErrorCode::MemberIdRequired, id);
        }
        self.add_member(step, id, ask, reply);
    }

    fn add_member(&mut self, step: &mut Step, id: String, ask: JoinAsk, reply: JoinReply) {
        self.announced.remove(&id);
        if let Phase::Joining { first: Some(first), .. } = &mut self.phase {
            first.someone_came = true;
        }
        if let Some(instance) = &ask.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(ask.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, Member::new(ask, reply, step.now.tick_ms));
        self.rebalance(step);
    }

    fn join_again(&mut self, step: &mut Step, ask: JoinAsk, reply: JoinReply) {
        let named =
            MemberRef { member_id: ask.member_id.clone(), instance_id: ask.instance_id.clone() };
        if let Err(code) = self.check_member(&named) {
            return refuse(step, reply, code, ask.member_id);
        }
        let id = ask.member_id.clone();
        let unchanged = self.members.get(&id).is_some_and(|m| m.protocols == ask.protocols);
        let is_leader = self.leader.as_ref() == Some(&id);
        let settled = match self.phase {
            // It asks again since the answer got lost.
            Phase::Syncing => unchanged,
            // A leader that joins again wants to assign anew.
            Phase::Stable => unchanged && !is_leader,
            Phase::Joining { .. } | Phase::Empty => false,
        };
        if settled {
            let joined = Ok(self.joined(&id, is_leader && self.phase == Phase::Syncing));
            self.heard_from(&id, step.now.tick_ms);
            return step.answer(reply, joined);
        }
        self.park_join(step, &id, ask, reply);
        self.rebalance(step);
    }

    /// Notes that a member waits for the next generation.
    fn park_join(&mut self, step: &mut Step, id: &str, ask: JoinAsk, reply: JoinReply) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.update(ask);
        member.heard(step.now.tick_ms);
        if let Some(earlier) = member.joining.replace(reply) {
            // The client gave up on it and asked again.
            let member_id = id.to_owned();
            refuse(step, earlier, ErrorCode::RebalanceInProgress, member_id);
        }
    }

    /// A static member came back: it takes its old place under a new id.
    fn join_in_place_of(
        &mut self,
        step: &mut Step,
        old: &str,
        id: String,
        ask: JoinAsk,
        reply: JoinReply,
    ) {
        let leader_before = self.leader.clone();
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(fenced) = member.joining.take() {
            refuse(step, fenced, ErrorCode::FencedInstanceId, old.to_owned());
        }
        if let Some(fenced) = member.syncing.take() {
            step.answer(fenced, Err(ErrorCode::FencedInstanceId));
        }
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &ask.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let unchanged = member.protocols == ask.protocols;
        let can_skip = ask.can_skip_assignment;
        self.members.insert(id.clone(), member);
        if self.phase != Phase::Stable || !unchanged {
            self.park_join(step, &id, ask, reply);
            return self.rebalance(step);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.update(ask);
            member.heard(step.now.tick_ms);
        }
        if !self.keep(step) {
            return refuse(step, reply, ErrorCode::UnknownServerError, id);
        }
        let is_leader = self.leader.as_ref() == Some(&id);
        let mut joined = self.joined(&id, is_leader && can_skip);
        if can_skip {
            joined.skip_assignment = is_leader;
        } else {
            // A client that cannot skip must not take itself for the leader: it would assign.
            joined.leader = leader_before.unwrap_or_default();
        }
        step.answer(reply, Ok(joined));
    }

    /// A member's place in the generation of now.
    pub(super) fn joined(&self, id: &str, with_members: bool) -> Joined {
        let seen = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata_for(self.protocol()),
        };
        Joined {
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if with_members { self.members().map(seen).collect() } else { Vec::new() },
        }
    }
}
