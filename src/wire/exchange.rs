//! One request and its reply, as they pass between the socket and whoever answers.
//!
//! Order is the contract: on one connection `start` is called in the order of arrival and awaited
//! before the next frame is started, and replies leave in that same order, whatever becomes ready
//! first. What may take long (an ack, a long poll, a join) is [`Started::Pending`] and holds up no
//! later start.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::model::FileSlice;

/// Answers requests. One value serves all connections.
pub trait Service: Send + Sync + 'static {
    /// Takes up a request. Must not block the thread, and should not wait for anything that a
    /// later request of the same connection could be needed for.
    fn start(&self, frame: RequestFrame) -> impl Future<Output = Started> + Send;
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct RequestFrame {
    /// The whole frame without its 4-byte length: header and body. At least
    /// [`RequestFrame::LEN_MIN`] bytes, at most `Limits::frame_bytes_max`. Slices of it keep the
    /// whole buffer, so copy what outlives the request.
    pub bytes: Bytes,
    /// Where it came from.
    pub connection: Arc<ConnectionInfo>,
}

impl RequestFrame {
    /// API key, API version and correlation id: what every request header has.
    pub const LEN_MIN: usize = 8;
}

/// A connection's number, never used twice in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who is on the other end.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Tells connections apart, also in the log.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// The name of the listener it came in by, such as `PLAINTEXT`.
    pub listener: Arc<str>,
    software: OnceLock<ClientSoftware>,
}

/// What a client says of itself in ApiVersions (KIP-511).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSoftware {
    /// Such as `apache-kafka-java`, at most [`ClientSoftware::TEXT_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// Such as `4.3.1`, at most [`ClientSoftware::TEXT_BYTES_MAX`] bytes.
    pub version: Box<str>,
}

impl ClientSoftware {
    /// Longer texts are cut: they are kept as long as the connection.
    pub const TEXT_BYTES_MAX: usize = 128;
}

impl ConnectionInfo {
    /// A connection of which nothing but its address is known yet.
    #[must_use]
    pub fn new(id: ConnectionId, peer: SocketAddr, listener: Arc<str>) -> Self {
        Self { id, peer, listener, software: OnceLock::new() }
    }

    /// What the client said it is, if it did.
    #[must_use]
    pub fn software(&self) -> Option<&ClientSoftware> {
        self.software.get()
    }

    /// Remembers what the client says it is. The first word counts.
    pub fn set_software(&self, name: &str, version: &str) {
        self.software.get_or_init(|| ClientSoftware { name: cut(name), version: cut(version) });
    }
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(ClientSoftware::TEXT_BYTES_MAX)].into()
}

/// A request that was taken up.
pub enum Started {
    /// Done already.
    Ready(Reply),
    /// Goes on by itself; polled from now on, beside the connection's later requests. Dropped
    /// unfinished when the connection ends first.
    Pending(BoxFuture<'static, Reply>),
}

/// What goes back for one request.
#[derive(Debug)]
pub enum Reply {
    /// A response.
    Frame(ReplyFrame),
    /// Nothing: a produce request with `acks=0`.
    None,
    /// No response: earlier replies are still sent, then the connection is closed.
    Close(CloseReason),
}

/// A response: bytes with ranges of files between them.
#[derive(Clone, Debug)]
pub struct ReplyFrame {
    /// All bytes that do not come from files, beginning with the 4-byte length of what follows
    /// it, file ranges included.
    pub head: Bytes,
    /// File ranges in the order in which they go out.
    pub pieces: Vec<Piece>,
}

/// A file range within a [`ReplyFrame`].
#[derive(Clone, Debug)]
pub struct Piece {
    /// The range goes out before `head[at]`; ascending among the pieces of a frame, from 4 to
    /// `head.len()`.
    pub at: usize,
    /// What to send there.
    pub slice: FileSlice,
}

impl ReplyFrame {
    /// Bytes on the wire, the 4-byte length included.
    #[must_use]
    pub fn wire_len(&self) -> u64 {
        self.head.len() as u64 + self.pieces.iter().map(|piece| piece.slice.len).sum::<u64>()
    }

    /// Whether the length at the front tells the truth and the pieces are in order.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let Some(length) = self.head.first_chunk::<4>() else { return false };
        let ascending = self.pieces.is_sorted_by_key(|piece| piece.at);
        let inside = self.pieces.iter().all(|piece| (4..=self.head.len()).contains(&piece.at));
        u64::from(u32::from_be_bytes(*length)) + 4 == self.wire_len() && ascending && inside
    }
}

/// Why a service wants no more of a connection.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// The API key is none that is served.
    #[error("unknown api key {key}")]
    UnknownApi {
        /// As the client sent it.
        key: i16,
    },
    /// The API is served, but not in this version.
    #[error("unsupported version {version} of api key {key}")]
    UnsupportedVersion {
        /// As the client sent it.
        key: i16,
        /// As the client sent it.
        version: i16,
    },
    /// Header or body cannot be decoded.
    #[error("malformed request, api key {key} version {version}: {cause}")]
    Malformed {
        /// As the client sent it.
        key: i16,
        /// As the client sent it.
        version: i16,
        /// What the decoder found.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The client may not go on: wrong credentials, or a request before it has shown any.
    #[error("refused, api key {key}: {cause}")]
    Refused {
        /// As the client sent it.
        key: i16,
        /// What was wrong.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// A produce request without acks failed: closing is the only way to tell (as Kafka does).
    #[error("unacknowledged produce failed: {cause}")]
    UnackedProduceFailed {
        /// What went wrong.
        cause: Box<dyn Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_whose_length_or_piece_order_lies_is_not_well_formed() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let piece = |at, len| Piece { at, slice: FileSlice::new(Arc::clone(&file), 0, len) };
        let frame = |length: u32, pieces| {
            let head = [&length.to_be_bytes()[..], b"abc"].concat().into();
            ReplyFrame { head, pieces }
        };
        assert!(frame(3, vec![]).is_well_formed());
        assert!(frame(13, vec![piece(4, 7), piece(7, 3)]).is_well_formed());
        assert!(!frame(4, vec![]).is_well_formed());
        assert!(!frame(13, vec![piece(7, 7), piece(4, 3)]).is_well_formed());
        assert!(!frame(10, vec![piece(3, 7)]).is_well_formed());
        assert!(!frame(10, vec![piece(8, 7)]).is_well_formed());
    }

    #[test]
    fn the_first_software_name_counts_and_long_ones_are_cut() {
        let peer = ([127, 0, 0, 1], 9092).into();
        let info = ConnectionInfo::new(ConnectionId(1), peer, "PLAINTEXT".into());
        assert_eq!(info.software(), None);
        info.set_software(&"é".repeat(100), "1");
        info.set_software("later", "2");
        let kept = info.software().unwrap();
        assert_eq!((kept.name.len(), &*kept.version), (128, "1"));
    }
}
