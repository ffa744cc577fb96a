//! One connection to one broker: requests go out in order and answers come back in it.
//!
//! A frame is bounded before it is read, and every wait has a deadline.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::ClientError;
use super::versions::written_for;
use crate::wire::frame::{self, LENGTH_BYTES};
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{ApiKey, Decoder, ErrorCode, Message, Request};

const CLIENT_ID: &str = "icecore-cli";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than a broker takes for anything that it takes on, downloads from a store included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// A fetch asks for less than half of it.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// A connection whose broker has told which versions it offers.
pub(crate) struct Connection {
    address: String,
    stream: TcpStream,
    offered: HashMap<i16, (i16, i16)>,
    last_id: i32,
}

/// A request that is on its way. Answers are to be received in the order of the requests.
#[derive(Debug)]
#[must_use]
pub(crate) struct Sent {
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

/// The answer to a request, undecoded.
pub(crate) struct Answer {
    address: String,
    frame: Bytes,
    body_at: usize,
    version: i16,
}

impl Connection {
    /// Connects, and asks which versions the broker offers.
    pub(crate) async fn open(address: &str) -> Result<Self, ClientError> {
        let no_broker = |source| ClientError::NoBroker { address: address.to_owned(), source };
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(no_broker)?;
        stream.set_nodelay(true).map_err(no_broker)?;
        let (address, offered) = (address.to_owned(), HashMap::new());
        let mut connection = Self { address, stream, offered, last_id: 0 };
        connection.offered = connection.ask_versions().await?;
        Ok(connection)
    }

    /// A broker that does not know the request's version answers in version 0, and tells there
    /// which ones it knows.
    async fn ask_versions(&mut self) -> Result<HashMap<i16, (i16, i16)>, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "icecore".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut version = *written_for(ApiKey::ApiVersions).end();
        loop {
            let sent = self.send_as(&request, version).await?;
            let mut answer = self.receive(sent).await?;
            let code = answer.frame.get(answer.body_at..answer.body_at + 2);
            let known = code != Some(&ErrorCode::UnsupportedVersion.as_i16().to_be_bytes());
            if !known && version > 3 {
                version = 3;
                continue;
            }
            answer.version = if known { version } else { 0 };
            let body: ApiVersionsResponse<'_> = answer.read()?;
            let ranges = body.api_keys.iter().map(|api| (api.min_version, api.max_version));
            return Ok(body.api_keys.iter().map(|api| api.api_key).zip(ranges).collect());
        }
    }

    /// Sends a request in the best version that both sides know, and waits for its answer.
    pub(crate) async fn call<'a, R: Request<'a>>(
        &mut self,
        body: &R,
    ) -> Result<Answer, ClientError> {
        let sent = self.send(body).await?;
        self.receive(sent).await
    }

    /// Sends a request and does not wait.
    pub(crate) async fn send<'a, R: Request<'a>>(&mut self, body: &R) -> Result<Sent, ClientError> {
        let written = written_for(R::API);
        let version = self.offered.get(&R::API.as_i16()).and_then(|(min, max)| {
            let version = *written.end().min(max);
            (version >= *min && written.contains(&version)).then_some(version)
        });
        let version = version.ok_or_else(|| ClientError::NotOffered {
            address: self.address.clone(),
            api: R::API,
        })?;
        self.send_as(body, version).await
    }

    async fn send_as<'a, R: Request<'a>>(
        &mut self,
        body: &R,
        version: i16,
    ) -> Result<Sent, ClientError> {
        self.last_id = self.last_id.wrapping_add(1);
        let sent = Sent { api: R::API, version, correlation_id: self.last_id };
        let bytes = frame::request(version, sent.correlation_id, Some(CLIENT_ID), body)?;
        let written = timeout(ANSWER_TIMEOUT, self.stream.write_all(&bytes)).await;
        self.in_time(R::API, written)?;
        Ok(sent)
    }

    /// Waits for the answer to the oldest request that has none yet.
    pub(crate) async fn receive(&mut self, sent: Sent) -> Result<Answer, ClientError> {
        let read = timeout(ANSWER_TIMEOUT, read_frame(&mut self.stream)).await;
        let frame = self.in_time(sent.api, read)?.map_err(|source| self.malformed(source))?;
        let mut from = Decoder::over(&frame);
        let id = frame::decode_response_header(&mut from, sent.api, sent.version)
            .map_err(|source| self.malformed(source))?;
        if id != sent.correlation_id {
            return Err(ClientError::OutOfOrder { address: self.address.clone() });
        }
        let body_at = frame.len() - from.remaining();
        Ok(Answer { address: self.address.clone(), frame, body_at, version: sent.version })
    }

    fn in_time<T>(
        &self,
        api: ApiKey,
        done: Result<io::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, ClientError> {
        let address = || self.address.clone();
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(ClientError::Broke { address: address(), source }),
            Err(_) => Err(ClientError::TimedOut { address: address(), api, after: ANSWER_TIMEOUT }),
        }
    }

    fn malformed(&self, source: crate::wire::DecodeError) -> ClientError {
        ClientError::Malformed { address: self.address.clone(), source }
    }
}

/// One frame without its length; the inner error is a length out of bounds.
async fn read_frame(stream: &mut TcpStream) -> io::Result<Result<Bytes, crate::wire::DecodeError>> {
    let mut prefix = [0; LENGTH_BYTES];
    stream.read_exact(&mut prefix).await?;
    let length = match frame::decode_length(prefix, FRAME_BYTES_MAX) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    let mut frame = BytesMut::with_capacity(length);
    let mut rest = stream.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Ok(frame.freeze()))
}

impl Answer {
    /// Decodes the body, which borrows from the frame.
    pub(crate) fn read<'a, M: Message<'a>>(&'a self) -> Result<M, ClientError> {
        let malformed = |source| ClientError::Malformed { address: self.address.clone(), source };
        let mut from = Decoder::over(&self.frame[self.body_at..]);
        let body = M::decode(&mut from, self.version).map_err(malformed)?;
        from.finish().map_err(malformed)?;
        Ok(body)
    }

    /// A part of the frame that shares its memory. `part` must lie in the frame.
    pub(super) fn share(&self, part: &[u8]) -> Bytes {
        self.frame.slice_ref(part)
    }
}
