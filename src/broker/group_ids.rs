//! What a group's texts may be. Newer requests can carry texts that are longer than the records of
//! `__consumer_offsets` have room for; they are refused before anything is made of them.

use crate::coordinator::MemberRef;
use crate::wire::ErrorCode;

/// Texts in records have a 16-bit length; a member's id adds 37 bytes to a text.
const TEXT_BYTES_MAX: usize = i16::MAX as usize - 64;

/// Whether a record has room for the text.
pub(super) fn fits(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX
}

/// A group that members can join has a name.
pub(super) fn check_joinable(group: &str) -> Result<(), ErrorCode> {
    if group.is_empty() { Err(ErrorCode::InvalidGroupId) } else { check(group) }
}

/// A group that only keeps offsets may do without a name, as it always could.
pub(super) fn check(group: &str) -> Result<(), ErrorCode> {
    if fits(group) { Ok(()) } else { Err(ErrorCode::InvalidGroupId) }
}

/// The member that a request names.
pub(super) fn member(id: &str, instance_id: Option<&str>) -> MemberRef {
    MemberRef { member_id: id.to_owned(), instance_id: instance_id.map(str::to_owned) }
}
