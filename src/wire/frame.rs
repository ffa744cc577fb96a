//! What surrounds a message on a connection: a length, then a header, then the body.
//!
//! The length counts header and body, not itself. A header's version follows from the request's
//! key and version, so a request's header can be read before the broker knows whether it serves
//! that version; the body must not be touched then.

use std::borrow::Cow;

use bytes::{BufMut as _, BytesMut};

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::error::{DecodeError, EncodeError};
use super::message::{Message, Request};
use super::messages::api::ApiKey;
use super::messages::headers;

/// Bytes of the length before every frame.
pub const LENGTH_BYTES: usize = 4;
/// Room for what most frames hold; larger ones grow.
const USUAL_BYTES: usize = 256;

/// The header of a request, with its key looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The API that is called.
    pub api: ApiKey,
    /// The version of the request's body and of the answer. May be one that is not served.
    pub version: i16,
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// What the client calls itself; Kafka takes null for the empty string.
    pub client_id: Option<Cow<'a, str>>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of a frame and leaves `from` at the body.
    ///
    /// # Errors
    /// [`DecodeError::UnknownApi`] for a key that brokers do not serve, else what is wrong with
    /// the bytes. A version that is not served is no error here.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let (key, version) = peek_api(from)?;
        let api = ApiKey::from_i16(key).ok_or(DecodeError::UnknownApi { key })?;
        let header = headers::RequestHeader::decode(from, api.request_header_version(version))?;
        Ok(Self {
            api,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
        })
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when the client's name exceeds 32,767 bytes.
    pub fn encode(&self, to: &mut Encoder) -> Result<(), EncodeError> {
        let header = headers::RequestHeader {
            request_api_key: self.api.as_i16(),
            request_api_version: self.version,
            correlation_id: self.correlation_id,
            client_id: self.client_id.as_deref().map(Cow::Borrowed),
        };
        header.encode(to, self.api.request_header_version(self.version))
    }
}

/// Key and version open every request, whatever the header's version.
fn peek_api(from: &Decoder<'_>) -> Result<(i16, i16), DecodeError> {
    match *from.rest() {
        [a, b, c, d, ..] => Ok((i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]))),
        _ => Err(DecodeError::UnexpectedEnd { needed: 4, remaining: from.remaining() }),
    }
}

/// Reads the header of the answer to a request of this API and version: its correlation id.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_response_header(
    from: &mut Decoder<'_>,
    api: ApiKey,
    version: i16,
) -> Result<i32, DecodeError> {
    let header = headers::ResponseHeader::decode(from, api.response_header_version(version))?;
    Ok(header.correlation_id)
}

/// Writes the header of the answer to a request of this API and version.
///
/// # Errors
/// None that a caller can cause.
pub fn encode_response_header(
    to: &mut Encoder,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Result<(), EncodeError> {
    let header = headers::ResponseHeader { correlation_id };
    header.encode(to, api.response_header_version(version))
}

/// The length of the frame that follows its four-byte prefix.
///
/// # Errors
/// [`DecodeError::FrameLength`] when it is negative or above `limit` bytes.
pub fn decode_length(prefix: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, DecodeError> {
    let length = i32::from_be_bytes(prefix);
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= limit)
        .ok_or(DecodeError::FrameLength { length, limit })
}

/// An encoder that holds room for the length of a frame; [`finish`] fills it in.
#[must_use]
pub fn start(capacity_bytes: usize) -> Encoder {
    let mut encoder = Encoder::with_capacity(LENGTH_BYTES + capacity_bytes);
    encoder.buf.put_i32(0);
    encoder
}

/// Writes the length of a frame begun by [`start`], external bytes included.
///
/// # Errors
/// [`EncodeError::TooLong`] when the frame exceeds what its length can say.
pub fn finish(encoder: &mut Encoder) -> Result<(), EncodeError> {
    let length = encoder.total_len() - LENGTH_BYTES;
    let prefix = i32::try_from(length).map_err(|_| EncodeError::TooLong {
        message: "frame",
        version: 0,
        length,
        limit: i32::MAX as usize,
    })?;
    encoder.buf[..LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(())
}

/// A whole response frame: length, header, body; its cuts are where external records belong.
///
/// # Errors
/// When the body has what its version cannot carry.
pub fn response<'a, M: Message<'a>>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Encoder, EncodeError> {
    let mut encoder = start(USUAL_BYTES);
    encode_response_header(&mut encoder, api, version, correlation_id)?;
    body.encode(&mut encoder, version)?;
    finish(&mut encoder)?;
    Ok(encoder)
}

/// A whole request frame: length, header, body.
///
/// # Errors
/// When the body has what its version cannot carry.
pub fn request<'a, R: Request<'a>>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &R,
) -> Result<BytesMut, EncodeError> {
    let mut encoder = start(USUAL_BYTES);
    let client_id = client_id.map(Cow::Borrowed);
    RequestHeader { api: R::API, version, correlation_id, client_id }.encode(&mut encoder)?;
    body.encode(&mut encoder, version)?;
    finish(&mut encoder)?;
    Ok(encoder.buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};

    #[test]
    fn a_request_frame_has_the_bytes_that_kafka_documents() {
        let body = ApiVersionsRequest {
            client_software_name: "a".into(),
            client_software_version: "1".into(),
        };
        let frame = request(3, 7, Some("me"), &body).unwrap();
        let expected = [
            &[0, 0, 0, 18][..],
            &[0, 18, 0, 3, 0, 0, 0, 7],
            &[0, 2, b'm', b'e', 0],
            &[2, b'a', 2, b'1', 0],
        ];
        assert_eq!(&frame[..], expected.concat());
    }

    #[test]
    fn a_header_is_read_back_and_leaves_the_body() {
        let frame = request(3, 7, None, &ApiVersionsRequest::default()).unwrap();
        let mut from = Decoder::over(&frame[LENGTH_BYTES..]);
        let header = RequestHeader::decode(&mut from).unwrap();
        assert_eq!((header.api, header.version), (ApiKey::ApiVersions, 3));
        assert_eq!((header.correlation_id, header.client_id), (7, None));
        assert_eq!(from.rest(), [1, 1, 0]);
    }

    #[test]
    fn the_header_of_a_version_to_come_is_still_read() {
        let bytes = [0, 18, 0, 99, 0, 0, 0, 5, 0, 1, b'x', 0, 77, 77];
        let mut from = Decoder::over(&bytes);
        let header = RequestHeader::decode(&mut from).unwrap();
        assert_eq!((header.version, header.correlation_id), (99, 5));
        assert!(!header.api.supports(header.version));
        assert_eq!(from.rest(), [77, 77]);
    }

    #[test]
    fn unknown_keys_and_torn_headers_are_errors() {
        let unknown =
            RequestHeader::decode(&mut Decoder::over(&[0, 4, 0, 0, 0, 0, 0, 5, 255, 255]));
        assert_eq!(unknown, Err(DecodeError::UnknownApi { key: 4 }));
        let torn = RequestHeader::decode(&mut Decoder::over(&[0, 18, 0]));
        assert_eq!(torn, Err(DecodeError::UnexpectedEnd { needed: 4, remaining: 3 }));
    }

    #[test]
    fn a_response_to_api_versions_keeps_the_oldest_header() {
        let frame = response(ApiKey::ApiVersions, 3, 9, &ApiVersionsResponse::default()).unwrap();
        assert_eq!(frame.buf[..10], [0, 0, 0, 12, 0, 0, 0, 9, 0, 0]);
        let frame = response(ApiKey::Metadata, 9, 9, &ApiVersionsResponse::default()).err();
        assert!(frame.is_some(), "a body without that version");
    }

    #[test]
    fn a_length_outside_its_bounds_is_refused() {
        assert_eq!(decode_length([0, 0, 0, 8], 8), Ok(8));
        for prefix in [[0, 0, 0, 9], [0x7f, 255, 255, 255], [255; 4]] {
            assert!(decode_length(prefix, 8).is_err());
        }
    }
}
