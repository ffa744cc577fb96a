//! Object names: where each object lies, and what its name tells.
//!
//! ```text
//! <prefix>/<cluster-id>/topics/<topic>.<topic-id>/<partition>/
//!     <base:020>-<end:020>-<max-timestamp-ms>-e<leader-epoch>-<segment-id>.index
//!     <base:020>-<end:020>-<max-timestamp-ms>-e<leader-epoch>-<segment-id>.log
//! <prefix>/<cluster-id>/meta/...
//! ```
//!
//! Invariants: a name alone rebuilds the searchable part of a manifest row; names hold only
//! letters, digits, `.`, `_` and `-`, since other characters are stored under another name by some
//! store (`:` is refused by HDFS, `\` comes back as `/` from Azure, the client library
//! percent-encodes the rest); a segment of a name has at most 240 bytes and a whole name at most
//! 900; no name is also a directory. A name is never reused: the segment id in it is fresh for
//! every upload attempt, so a late write of a dead attempt can overwrite nothing.

mod layout;
mod name;

pub(crate) use layout::check_topic;
pub use layout::{KeyError, Layout, TopicFolder};
pub use name::{ObjectName, ObjectPart, ParseNameError};
