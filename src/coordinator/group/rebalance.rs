//! From one generation to the next.

use super::{FirstRound, Group, Member, Phase};
use crate::coordinator::ask::JoinRefused;
use crate::coordinator::step::Step;
use crate::wire::ErrorCode;

impl Group {
    /// Starts a rebalance, or goes on with the one that is under way.
    pub(super) fn rebalance(&mut self, step: &mut Step) {
        let was_empty = match self.phase {
            Phase::Joining { .. } => return self.complete_join_if_all_came(step),
            Phase::Syncing => {
                self.break_off_sync(step, ErrorCode::RebalanceInProgress);
                false
            }
            Phase::Stable => false,
            Phase::Empty => true,
        };
        self.sync_deadline = None;
        let (now, timeout) = (step.now.tick_ms, self.rebalance_timeout_ms());
        self.phase = if was_empty {
            let delay = step.rules.initial_delay_ms;
            let remaining_ms = (timeout - delay).max(0);
            let first = Some(FirstRound { remaining_ms, someone_came: false });
            Phase::Joining { deadline: now + delay, first }
        } else {
            Phase::Joining { deadline: now + timeout, first: None }
        };
        self.complete_join_if_all_came(step);
    }

    /// The longest time that a member wants for joining again.
    fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout_ms);
        i64::from(timeouts.max().unwrap_or(0).max(0))
    }

    /// Answers those who wait for an assignment that will not come.
    fn break_off_sync(&mut self, step: &mut Step, code: ErrorCode) {
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
            if let Some(reply) = member.syncing.take() {
                member.heard(step.now.tick_ms);
                step.answer(reply, Err(code));
            }
        }
    }

    /// Closes the round when nobody is missing; the first round of a group ends by time only.
    pub(super) fn complete_join_if_all_came(&mut self, step: &mut Step) {
        let Phase::Joining { first: None, .. } = self.phase else {
            let alone = self.members.is_empty() && self.announced.is_empty();
            if alone && matches!(self.phase, Phase::Joining { .. }) {
                self.complete_join(step);
            }
            return;
        };
        let all_came = self.members.values().all(|member| member.joining.is_some());
        if all_came && self.announced.is_empty() {
            self.complete_join(step);
        }
    }

    /// The time for joining is over.
    pub(super) fn end_join_wait(&mut self, step: &mut Step) {
        if let Phase::Joining { first: Some(first), deadline } = self.phase
            && first.someone_came
            && first.remaining_ms > 0
        {
            let delay = step.rules.initial_delay_ms.min(first.remaining_ms);
            let remaining_ms = first.remaining_ms - delay;
            let first = Some(FirstRound { remaining_ms, someone_came: false });
            self.phase = Phase::Joining { deadline: deadline + delay, first };
            return;
        }
        self.complete_join(step);
    }

    fn complete_join(&mut self, step: &mut Step) {
        let missing = |member: &Member| member.joining.is_none() && member.instance_id.is_none();
        let missing: Vec<String> =
            self.members().filter(|(_, m)| missing(m)).map(|(id, _)| id.clone()).collect();
        for id in &missing {
            tracing::info!(group = %self.name, member = %id, "a member did not join again in time");
            self.remove_member(step, id);
        }
        if self.members.is_empty() {
            return self.become_empty(step);
        }
        if !self.elect_leader() {
            // Only static members are left, and none of them is here: they get more time.
            let deadline = step.now.tick_ms + self.rebalance_timeout_ms().max(1);
            self.phase = Phase::Joining { deadline, first: None };
            return;
        }
        self.generation = self.next_generation();
        self.protocol = self.choose_protocol();
        self.phase = Phase::Syncing;
        self.since_ms = step.now.wall_ms;
        self.sync_deadline = Some(step.now.tick_ms + self.rebalance_timeout_ms().max(1));
        let leader = self.leader.clone().unwrap_or_default();
        let mut for_leader = Some(self.joined(&leader, true));
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = if id == leader { for_leader.take() } else { None };
            let joined = joined.unwrap_or_else(|| self.joined(&id, false));
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.heard(step.now.tick_ms);
            (member.is_new, member.synced) = (false, false);
            if let Some(reply) = member.joining.take() {
                step.answer(reply, Ok(joined));
            }
        }
    }

    fn next_generation(&self) -> i32 {
        if self.generation == i32::MAX { 1 } else { self.generation + 1 }
    }

    fn become_empty(&mut self, step: &mut Step) {
        self.generation = self.next_generation();
        (self.protocol, self.leader, self.sync_deadline) = (None, None, None);
        self.phase = Phase::Empty;
        self.since_ms = step.now.wall_ms;
        // Without members a group always fits into a record.
        self.keep(step);
    }

    /// Makes sure that the leader is one who joined; whether there is one.
    fn elect_leader(&mut self) -> bool {
        let joined = |member: &Member| member.joining.is_some();
        let leads = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leads.is_some_and(joined) {
            return true;
        }
        let elected = self.members().find(|(_, member)| joined(member)).map(|(id, _)| id.clone());
        let found = elected.is_some();
        if found {
            self.leader = elected;
        }
        found
    }

    /// The protocol that all can do and most like best; the leader's liking breaks a tie.
    fn choose_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let common: Vec<&String> = leader
            .protocols
            .iter()
            .map(|(name, _)| name)
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let votes = |candidate: &String| {
            let best = |member: &&Member| {
                let liked = member.protocols.iter().map(|(name, _)| name);
                liked.into_iter().find(|name| common.contains(name)) == Some(candidate)
            };
            self.members.values().filter(best).count()
        };
        // `max_by_key` keeps the last of equals.
        common.iter().rev().max_by_key(|name| votes(name)).map(|name| (*name).clone())
    }

    /// Forgets a member; the caller looks at what becomes of the group.
    pub(super) fn remove_member(&mut self, step: &mut Step, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance_id
            && self.instances.get(instance).is_some_and(|current| current == id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        if let Some(reply) = member.joining {
            let refused =
                JoinRefused { code: ErrorCode::UnknownMemberId, member_id: id.to_owned() };
            step.answer(reply, Err(refused));
        }
        if let Some(reply) = member.syncing {
            step.answer(reply, Err(ErrorCode::UnknownMemberId));
        }
    }

    /// Members are gone: those who remain share their work.
    pub(super) fn rebalance_after_loss(&mut self, step: &mut Step) {
        match self.phase {
            Phase::Empty => {}
            _ => self.rebalance(step),
        }
    }

    /// Sends away everyone who waits: this broker ends.
    pub(in crate::coordinator) fn release(&mut self, step: &mut Step) {
        for (id, member) in &mut self.members {
            if let Some(reply) = member.joining.take() {
                let code = ErrorCode::NotCoordinator;
                step.answer(reply, Err(JoinRefused { code, member_id: id.clone() }));
            }
            if let Some(reply) = member.syncing.take() {
                step.answer(reply, Err(ErrorCode::NotCoordinator));
            }
        }
    }
}
