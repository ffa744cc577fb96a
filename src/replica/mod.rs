//! Partitions as this broker hosts them: role, high watermark, who writes and who waits.

mod append_lane;
mod checkpoints;
mod error;
mod flush_plans;
mod flusher;
mod hosted;
mod partition;
mod upkeep;
mod waiters;

pub use append_lane::{AppendReply, Durability};
pub use checkpoints::write_log_starts;
pub use error::{EraseError, HostError};
pub use hosted::{Replicas, ReplicasOptions};
pub use partition::{Isolation, Partition};
pub use upkeep::{Failing, Upkeep, UpkeepIntervals};
pub use waiters::{FetchWaiter, Waiters};
