//! One request on its way through the broker: its header decoded once, its body on demand, its
//! response encoded in the version that was asked for.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes};
use tracing::Span;
use tracing::field::Empty;

use crate::metrics::Metrics;
use crate::model::FileSlice;
use crate::wire::exchange::{CloseReason, Piece, Reply, ReplyFrame, RequestFrame};
use crate::wire::frame::RequestHeader;
use crate::wire::messages::api::ApiKey;
use crate::wire::{Decoder, Encoder, ErrorCode, Message, Request};

/// Room that most responses need.
const RESPONSE_CAPACITY_BYTES: usize = 512;

/// A request whose header has been understood.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The frame it came in.
    pub frame: RequestFrame,
    /// Which API.
    pub api: ApiKey,
    /// In which version; one that is advertised, but for ApiVersions.
    pub version: i16,
    /// Its trace; none is made, and next to nothing paid, while nobody traces.
    pub span: Span,
    metrics: Arc<Metrics>,
    correlation_id: i32,
    client_id: Option<Range<usize>>,
    body_at: usize,
}

impl Call {
    /// Reads the header.
    ///
    /// # Errors
    /// Why the connection has to be closed: an unknown API or version has no response that the
    /// client could read.
    pub(super) fn new(
        frame: RequestFrame,
        metrics: &Arc<Metrics>,
        served: impl Fn(ApiKey, i16) -> bool,
    ) -> Result<Self, CloseReason> {
        let bytes = &frame.bytes[..];
        let (Some(key), Some(version)) = (i16_at(bytes, 0), i16_at(bytes, 2)) else {
            return Err(malformed(-1, -1, "shorter than a request header"));
        };
        let api = ApiKey::from_i16(key).ok_or(CloseReason::UnknownApi { key })?;
        if !served(api, version) {
            return Err(CloseReason::UnsupportedVersion { key, version });
        }
        let mut decoder = Decoder::over(bytes);
        let header =
            RequestHeader::decode(&mut decoder).map_err(|error| malformed(key, version, error))?;
        let client_id =
            header.client_id.as_deref().and_then(|text| range_in(bytes, text.as_bytes()));
        let (correlation_id, body_at) = (header.correlation_id, bytes.len() - decoder.remaining());
        drop(header);
        let (span, metrics) = (Span::none(), metrics.clone());
        let mut call =
            Self { api, version, span, metrics, correlation_id, client_id, body_at, frame };
        call.span = call.span();
        Ok(call)
    }

    fn span(&self) -> Span {
        tracing::info_span!(
            "request",
            otel.name = self.api.name(),
            otel.kind = "server",
            api = self.api.name(),
            version = self.version,
            client_id = self.client_id(),
            client = %self.frame.connection.peer,
            request_bytes = whole(self.frame.bytes.len()),
            answer_bytes = Empty,
            topics = Empty,
            partitions = Empty,
        )
    }

    /// Tells the trace how many topics and partitions the request is about.
    pub(super) fn is_about(&self, topics: usize, partitions: usize) {
        self.span.record("topics", whole(topics)).record("partitions", whole(partitions));
    }

    /// Tells the trace what goes back.
    pub(super) fn answered(span: &Span, reply: &Reply) {
        if let (false, Reply::Frame(frame)) = (span.is_disabled(), reply) {
            span.record("answer_bytes", whole(frame.wire_len()));
        }
    }

    /// Who asks, for the log.
    pub(super) fn client(&self) -> Client<'_> {
        Client(self)
    }

    /// The client's name for itself, empty when it gave none.
    pub(super) fn client_id(&self) -> &str {
        let bytes = self.client_id.clone().and_then(|range| self.frame.bytes.get(range));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The name of the listener that the client came in by.
    pub(super) fn listener(&self) -> &str {
        &self.frame.connection.listener
    }

    /// Decodes the body; what it borrows points into the frame. Bytes after it are left alone, as
    /// Kafka leaves them: librdkafka sends three too many when it asks for all topics.
    ///
    /// # Errors
    /// Why the connection has to be closed: a body that the frame cuts off, or that holds what the
    /// version does not allow.
    pub(super) fn body<'a, R: Request<'a>>(&'a self) -> Result<R, CloseReason> {
        let mut decoder = Decoder::over(&self.frame.bytes[self.body_at..]);
        let key = self.api.as_i16();
        R::decode(&mut decoder, self.version).map_err(|e| malformed(key, self.version, e))
    }

    /// The part of the frame that `bytes` borrows, to keep without a copy.
    pub(super) fn slice(&self, bytes: &[u8]) -> Bytes {
        self.frame.bytes.slice_ref(bytes)
    }

    /// Encodes a response without records.
    pub(super) fn reply<'b>(&self, response: &impl Message<'b>) -> Reply {
        self.reply_in(self.version, response, &[])
    }

    /// Encodes a response whose external values are `slices` by index: each a list of file ranges
    /// that make up the value.
    pub(super) fn reply_with<'b>(
        &self,
        response: &impl Message<'b>,
        slices: &[Vec<FileSlice>],
    ) -> Reply {
        self.reply_in(self.version, response, slices)
    }

    /// Encodes a response in a version other than the request's: ApiVersions to a client from the
    /// future.
    pub(super) fn reply_in<'b>(
        &self,
        version: i16,
        response: &impl Message<'b>,
        slices: &[Vec<FileSlice>],
    ) -> Reply {
        let mut encoder = Encoder::with_capacity(RESPONSE_CAPACITY_BYTES);
        encoder.buf.put_i32(0);
        encoder.buf.put_i32(self.correlation_id);
        if self.api.response_header_version(version) > 0 {
            encoder.buf.put_u8(0); // no tagged fields
        }
        if let Err(error) = response.encode(&mut encoder, version) {
            // The handler put something into a version that cannot carry it: ours to mend.
            tracing::error!(api = self.api.name(), version, %error, "a response cannot be encoded");
            return Reply::Close(malformed(self.api.as_i16(), version, error));
        }
        let counts = self.metrics.requests.api(self.api.as_i16(), self.api.name());
        for (code, count) in encoder.error_codes().iter() {
            let name = ErrorCode::from_i16(code).map_or("UNKNOWN_SERVER_ERROR", ErrorCode::name);
            counts.errors(code, name, count);
        }
        let total = encoder.total_len() - 4;
        let (mut head, cuts) = encoder.into_parts();
        let Ok(length) = i32::try_from(total) else {
            return Reply::Close(malformed(self.api.as_i16(), version, "a response over 2 GiB"));
        };
        head[..4].copy_from_slice(&length.to_be_bytes());
        let pieces = cuts
            .iter()
            .flat_map(|cut| {
                let slices = slices.get(cut.index as usize).map_or(&[][..], Vec::as_slice);
                slices.iter().map(|slice| Piece { at: cut.position, slice: slice.clone() })
            })
            .collect();
        Reply::Frame(ReplyFrame { head: head.freeze(), pieces })
    }
}

/// The client's name for itself, with whatever it has in it escaped, and its address.
pub(super) struct Client<'c>(&'c Call);

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.0.client_id(), self.0.frame.connection.peer)
    }
}

/// A number as traces have it: one without a sign would come to the collector as text.
pub(super) fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn malformed(
    key: i16,
    version: i16,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> CloseReason {
    CloseReason::Malformed { key, version, cause: cause.into() }
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Where `part` lies in `whole`, when it does.
fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (start + part.len() <= whole.len()).then_some(start..start + part.len())
}
