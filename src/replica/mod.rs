//! Partitions as this broker hosts them: role, high watermark, who writes and who waits, and how much
//! room the disk has for them.

mod append_lane;
mod checkpoints;
mod error;
mod flush_plans;
mod flusher;
mod followed;
mod hosted;
mod partition;
mod space;
mod suspects;
mod upkeep;
mod waiters;

pub use append_lane::{AppendReply, Durability};
pub use checkpoints::write_log_starts;
pub use error::{EraseError, HostError};
pub use followed::MoveError;
pub use hosted::{Replicas, ReplicasOptions, disk_space};
pub use partition::{FollowTo, Isolation, Partition};
pub use space::{DiskTooSmall, Space, SpaceReport, SpaceState, WantedWatermarks, Watermarks};
pub use suspects::Suspects;
pub use upkeep::{Amount, FailingUploads, Outlook, Upkeep, UpkeepIntervals};
pub use waiters::{FetchWaiter, Waiters};
