//! Segments: one that grows ([`Active`]) and those that never change again ([`Sealed`]).

mod active;
mod open;
mod scan;
mod sealed;
mod view;

pub(super) use active::{Active, Stamped};
pub use open::OpenSegments;
pub(super) use scan::{Found, Headers};
pub use sealed::Sealed;
pub(super) use view::View;
pub(in crate::log) use view::find_in_batch;
pub use view::{Extent, LogSlice, TimestampedOffset};
