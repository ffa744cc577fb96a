//! The sparse indexes of a segment, in Kafka's formats.

mod mapped;
mod offset_index;
mod time_index;

pub(super) use offset_index::OffsetIndex;
pub use offset_index::{OFFSET_ENTRY_LEN, OffsetEntry, read_offset_entry};
pub(super) use time_index::TimeIndex;
pub use time_index::{TIME_ENTRY_LEN, TimeEntry, read_time_entry};
