//! SyncGroup and Heartbeat: the assignment of a generation, and signs of life.

use std::collections::HashMap;

use bytes::Bytes;

use super::member::SyncReply;
use super::{Group, Phase};
use crate::coordinator::ask::{MemberRef, SyncAsk, Synced};
use crate::coordinator::step::Step;
use crate::wire::ErrorCode;

impl Group {
    /// Takes up a sync; it is answered when the leader's came.
    pub(in crate::coordinator) fn sync(&mut self, step: &mut Step, ask: SyncAsk, reply: SyncReply) {
        if let Err(code) = self.check_sync(&ask) {
            return step.answer(reply, Err(code));
        }
        let id = &ask.member.member_id;
        let is_leader = self.leader.as_ref() == Some(id);
        let Some(member) = self.members.get_mut(id) else { return };
        member.synced = true;
        member.heard(step.now.tick_ms);
        if self.phase == Phase::Stable {
            let assignment = member.assignment.clone();
            return step.answer(reply, Ok(self.synced(assignment)));
        }
        if let Some(earlier) = member.syncing.replace(reply) {
            step.answer(earlier, Err(ErrorCode::RebalanceInProgress));
        }
        if is_leader {
            self.assign(step, ask.assignments);
        }
    }

    fn check_sync(&self, ask: &SyncAsk) -> Result<(), ErrorCode> {
        self.check_generation(&ask.member, ask.generation)?;
        let differs =
            |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs != ours;
        if differs(&ask.protocol_type, &self.protocol_type)
            || differs(&ask.protocol, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::Joining { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Syncing | Phase::Stable => Ok(()),
        }
    }

    /// Gives every member what the leader wants it to have.
    fn assign(&mut self, step: &mut Step, assignments: Vec<(String, Bytes)>) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.phase = Phase::Stable;
        self.since_ms = step.now.wall_ms;
        let kept = self.keep(step);
        if !kept {
            tracing::error!(group = %self.name, "an assignment is too large to be kept");
        }
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for member in self.members.values_mut() {
            let Some(reply) = member.syncing.take() else { continue };
            member.heard(step.now.tick_ms);
            let (protocol_type, protocol) = (protocol_type.clone(), protocol.clone());
            let assignment = member.assignment.clone();
            let synced = Synced { protocol_type, protocol, assignment };
            step.answer(reply, if kept { Ok(synced) } else { Err(ErrorCode::UnknownServerError) });
        }
        if !kept {
            self.rebalance(step);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        Synced { protocol_type, protocol, assignment }
    }

    /// Members that did not ask for their assignment in time are out.
    pub(super) fn end_sync_wait(&mut self, step: &mut Step) {
        self.sync_deadline = None;
        if !matches!(self.phase, Phase::Syncing | Phase::Stable) {
            return;
        }
        let late: Vec<String> =
            self.members().filter(|(_, m)| !m.synced).map(|(id, _)| id.clone()).collect();
        for id in &late {
            tracing::info!(group = %self.name, member = %id, "a member did not sync in time");
            self.remove_member(step, id);
        }
        if !late.is_empty() {
            self.rebalance_after_loss(step);
        }
    }

    /// A sign of life.
    pub(in crate::coordinator) fn heartbeat(
        &mut self,
        step: &Step,
        member: &MemberRef,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_generation(member, generation)?;
        if self.phase == Phase::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.heard_from(&member.member_id, step.now.tick_ms);
        match self.phase {
            Phase::Joining { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}
