//! Why a connection ended. Every end is counted by its label and told in the log.

use std::io;
use std::time::Duration;

use super::super::buffers::OutOfMemory;
use super::super::delivery::SendError;
use crate::wire::exchange::CloseReason;

/// The first thing that kept a connection from going on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("closed by the client")]
    ByClient,
    #[error("the server is shutting down")]
    Shutdown,
    #[error("the client's stream ended within a frame, after {received} of {announced} bytes")]
    TornFrame { received: usize, announced: usize },
    #[error("frame length out of bounds: {length}, at most {max}")]
    FrameLength { length: i32, max: usize },
    #[error("a frame of {length} bytes is too short for a request header of {min}")]
    FrameTooShort { length: usize, min: usize },
    #[error("a frame was not complete after {timeout:?}")]
    FrameTimeout { timeout: Duration },
    #[error("idle for {timeout:?}")]
    Idle { timeout: Duration },
    #[error("the client took no byte of its replies for {timeout:?}")]
    RepliesNotTaken { timeout: Duration },
    #[error("replies in flight were not sent within {timeout:?} after: {after}")]
    DrainTimeout { timeout: Duration, after: Box<Ended> },
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    #[error(transparent)]
    Service(#[from] CloseReason),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("cannot receive: {0}")]
    Receive(#[source] io::Error),
}

impl Ended {
    /// The label in the metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::ByClient => "client",
            Self::Shutdown => "shutdown",
            Self::TornFrame { .. } => "torn_frame",
            Self::FrameLength { .. } => "frame_length",
            Self::FrameTooShort { .. } => "frame_too_short",
            Self::FrameTimeout { .. } => "frame_timeout",
            Self::Idle { .. } => "idle",
            Self::RepliesNotTaken { .. } => "replies_not_taken",
            Self::DrainTimeout { .. } => "drain_timeout",
            Self::Memory(_) => "out_of_memory",
            Self::Service(CloseReason::UnknownApi { .. }) => "unknown_api",
            Self::Service(CloseReason::UnsupportedVersion { .. }) => "unsupported_version",
            Self::Service(CloseReason::Malformed { .. }) => "malformed",
            Self::Service(CloseReason::Refused { .. }) => "refused",
            Self::Service(CloseReason::UnackedProduceFailed { .. }) => "unacked_produce_failed",
            Self::Send(SendError::Socket(_)) | Self::Receive(_) => "socket_error",
            Self::Send(SendError::ShortFile { .. }) => "short_file",
            Self::Send(SendError::Read(_)) => "file_read_error",
        }
    }

    /// Whether somebody should look: an end that no well-behaved client and no healthy disk brings
    /// about.
    pub(super) fn is_unusual(&self) -> bool {
        !matches!(self, Self::ByClient | Self::Shutdown | Self::Idle { .. } | Self::Receive(_))
            && !matches!(self, Self::Send(SendError::Socket(_)))
    }

    /// Whether it is the server's own trouble rather than the client's.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Memory(_) | Self::Send(SendError::ShortFile { .. } | SendError::Read(_))
        )
    }
}
