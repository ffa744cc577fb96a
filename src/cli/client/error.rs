//! What can go wrong between a tool and a broker, in words that say what to do.

use std::io;
use std::time::Duration;

use crate::wire::{ApiKey, DecodeError, EncodeError, ErrorCode};

/// Why a call to a broker failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "no broker answers at {address}: start one with `icecore serve`, or give --broker HOST:PORT"
    )]
    NoBroker { address: String, source: io::Error },
    #[error("the connection to {address} broke, and the broker's log tells why")]
    Broke { address: String, source: io::Error },
    #[error("{address} did not answer {api} within {after:?}")]
    TimedOut { address: String, api: ApiKey, after: Duration },
    #[error(
        "the broker at {address} does not offer {api}, or in no version that this client speaks"
    )]
    NotOffered { address: String, api: ApiKey },
    #[error("{address} sent what is not Kafka's protocol: is it a broker?")]
    Malformed { address: String, source: DecodeError },
    #[error("{address} answered another request than was asked")]
    OutOfOrder { address: String },
    #[error("the request cannot be written: {0}")]
    Unwritable(#[from] EncodeError),
    #[error("{subject}: {message} ({code})")]
    Refused { subject: String, message: String, code: ErrorCode },
    #[error("topic {0} does not exist: `icecore topic list` shows those that do")]
    NoTopic(String),
    #[error("topic {topic} has no partition {partition}: it has {count}, counted from 0")]
    NoPartition { topic: String, partition: i32, count: usize },
    #[error("partition {partition} of {topic} has no leader now: try again")]
    NoLeader { topic: String, partition: i32 },
    #[error("the answer lacks {0}, which was asked for")]
    Incomplete(String),
    #[error("{partition}: {problem}")]
    BadRecords { partition: String, problem: String },
}

impl ClientError {
    /// Checks a code out of an answer about `subject`, with the broker's own words if it has any.
    pub(super) fn check(code: i16, subject: &str, message: Option<&str>) -> Result<(), Self> {
        let code = ErrorCode::from_i16(code).unwrap_or(ErrorCode::UnknownServerError);
        if code.is_none() {
            return Ok(());
        }
        let message = message.filter(|text| !text.is_empty()).unwrap_or(code.message());
        let message = message.trim_end_matches('.').to_owned();
        Err(Self::Refused { subject: subject.to_owned(), message, code })
    }

    /// The broker's code, when it refused.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        if let Self::Refused { code, .. } = self { Some(*code) } else { None }
    }
}
