//! The world outside the process behind seams: the time of day, the kernel's scheduler, and named edges
//! at which tests stop a disk operation half-way.

mod edges;
mod time_slice;

pub use edges::{Edge, Edges, NoEdges};
pub use icecore_tiering::{Clock, SystemClock};
pub use time_slice::shorten_time_slice;
