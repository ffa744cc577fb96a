//! Segments: one that grows ([`Active`]) and those that never change again ([`Sealed`]).

mod active;
mod scan;
mod sealed;
mod view;

pub use active::{Active, Stamped};
pub use scan::{Found, Headers};
pub use sealed::Sealed;
pub(in crate::log) use view::find_in_batch;
pub use view::{Extent, LogSlice, TimestampedOffset, View};
