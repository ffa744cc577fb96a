//! The world outside the process behind seams: the time of day, and named edges at which tests
//! stop a disk operation half-way.

mod edges;

pub use edges::{Edge, Edges, NoEdges};
pub use icecore_tiering::{Clock, SystemClock};
