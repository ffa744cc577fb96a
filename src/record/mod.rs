//! Record batches, version 2 (KIP-98): the unit that clients send, disks hold and consumers get.
//!
//! A batch stays as it came, except the fields that a broker owns ([`BatchHeader::stamp`]).
//! Nothing on the produce path copies or decompresses records, but for the look at the keys of a
//! packed batch that a compacted topic takes ([`Batch::check_packed`]). No I/O.

mod batch;
mod builder;
mod codec;
mod header;
mod records;
mod varint;
mod walk;

pub use batch::{Batch, BatchError, BatchRules, TimestampBounds};
pub use builder::{BatchBuilder, Header, NewRecord};
pub use codec::{Codec, CodecError};
pub use header::{BatchHeader, HEADER_LEN, HeaderBytes, LENGTH_END, TimestampType};
pub use records::{Record, RecordError, RecordHeader, Records};
