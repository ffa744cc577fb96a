//! The sparse indexes of a segment, in Kafka's formats.

mod mapped;
mod offset_index;
mod time_index;

pub use offset_index::{OFFSET_ENTRY_LEN, OffsetEntry, OffsetIndex, read_offset_entry};
pub use time_index::{TIME_ENTRY_LEN, TimeEntry, TimeIndex, read_time_entry};
