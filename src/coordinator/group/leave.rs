//! LeaveGroup.

use super::Group;
use crate::coordinator::ask::{LeaveAsk, MemberRef};
use crate::coordinator::step::Step;
use crate::wire::ErrorCode;

impl Group {
    /// Members leave, one by one; those who remain share their work.
    pub(in crate::coordinator) fn leave(
        &mut self,
        step: &mut Step,
        ask: &LeaveAsk,
    ) -> Vec<ErrorCode> {
        let before = self.members.len();
        let codes: Vec<ErrorCode> =
            ask.members.iter().map(|member| self.leave_one(step, member)).collect();
        if self.members.len() < before {
            self.rebalance_after_loss(step);
        } else {
            // One that was only announced is not waited for any more.
            self.complete_join_if_all_came(step);
        }
        codes
    }

    fn leave_one(&mut self, step: &mut Step, member: &MemberRef) -> ErrorCode {
        let id = match &member.instance_id {
            // An administrator names a static member without knowing its id.
            Some(instance) if member.member_id.is_empty() => {
                match self.instances.get(instance).cloned() {
                    Some(id) => id,
                    None => return ErrorCode::UnknownMemberId,
                }
            }
            _ if self.announced.remove(&member.member_id).is_some() => return ErrorCode::None,
            _ => match self.check_member(member) {
                Ok(()) => member.member_id.clone(),
                Err(code) => return code,
            },
        };
        tracing::info!(group = %self.name, member = %id, "a member left");
        self.remove_member(step, &id);
        ErrorCode::None
    }
}
