//! What a generated message promises: its name, its versions, and the way to and from bytes.

use std::ops::RangeInclusive;

use super::decoder::Decoder;
use super::element::Element;
use super::encoder::Encoder;
use super::error::{DecodeError, EncodeError};
use super::messages::api::ApiKey;

/// A message of the protocol: a request, a response, a header, or the key or value of a
/// coordinator's record.
pub trait Message<'a>: Element<'a> {
    /// The name in Kafka's message definitions.
    const NAME: &'static str;
    /// Every version that can be read and written, the unstable ones included.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields (KIP-482), if any has them.
    const FIRST_FLEXIBLE: Option<i16>;

    /// Reads the message; bytes after it are left for [`Decoder::finish`] to judge.
    ///
    /// # Errors
    /// [`DecodeError::UnsupportedVersion`] for a version outside [`Message::VERSIONS`], else what
    /// is wrong with the bytes.
    fn decode(from: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        from.set_flexible(Self::is_flexible(version));
        Self::read(from, version)
    }

    /// Writes the message after what the encoder holds already.
    ///
    /// # Errors
    /// What [`EncodeError`] names. The encoder then holds a part of the message.
    fn encode(&self, to: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        to.begin(Self::NAME, version, Self::is_flexible(version));
        self.write(to, version)
    }

    /// Whether the version has compact lengths and tagged fields.
    #[must_use]
    fn is_flexible(version: i16) -> bool {
        Self::FIRST_FLEXIBLE.is_some_and(|first| version >= first)
    }
}

/// A message that a client sends to a broker.
pub trait Request<'a>: Message<'a> {
    /// Which API it calls.
    const API: ApiKey;
    /// What the broker answers, in the same version.
    type Response<'b>: Message<'b>;
}
