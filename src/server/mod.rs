//! Kafka sockets and frames.

mod service;

pub use service::{
    ClientSoftware, CloseReason, ConnectionId, ConnectionInfo, Piece, Reply, ReplyFrame,
    RequestFrame, Service, Started,
};
