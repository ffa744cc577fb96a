//! The codecs that a batch's records may be packed with. Only our own tools, the coordinators, time
//! look-ups and the check of keys unpack; what clients send passes through as it came.

use std::io::{Read, Write};

/// A compression of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codec {
    /// As they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of the Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

/// Records that do not unpack.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not what the codec writes.
    #[error("records are not valid {codec:?}: {source}")]
    Corrupt {
        /// The codec that the batch names.
        codec: Codec,
        /// What the library says.
        source: std::io::Error,
    },
    /// More than the caller has room for.
    #[error("records unpack to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
}

/// The Java library's framing: magic, version and compatible version, then length-prefixed blocks.
const SNAPPY_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const SNAPPY_HEADER_LEN: usize = 16;
const SNAPPY_BLOCK_LEN: usize = 32 * 1024;

impl Codec {
    pub(super) const fn from_bits(bits: i16) -> Option<Self> {
        Some(match bits {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    pub(super) const fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Packs `bytes`.
    ///
    /// # Errors
    /// When the library fails, which none does on memory.
    pub fn pack(self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        let packed = match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let level = flate2::Compression::default();
                let mut to = flate2::write::GzEncoder::new(Vec::new(), level);
                to.write_all(bytes).and_then(|()| to.finish())
            }
            Self::Snappy => snappy_pack(bytes),
            Self::Lz4 => {
                let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
                to.write_all(bytes).and_then(|()| to.finish().map_err(Into::into))
            }
            Self::Zstd => zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        packed.map_err(|source| CodecError::Corrupt { codec: self, source })
    }

    /// Unpacks to at most `limit` bytes.
    ///
    /// # Errors
    /// When the bytes are not of this codec, or unpack to more.
    pub fn unpack(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
        let corrupt = |source| CodecError::Corrupt { codec: self, source };
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(bytes), limit, self),
            Self::Snappy => snappy_unpack(bytes, limit),
            Self::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(bytes), limit, self),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(corrupt)?;
                read_bounded(decoder, limit, self)
            }
        }
    }
}

fn read_bounded(from: impl Read, limit: usize, codec: Codec) -> Result<Vec<u8>, CodecError> {
    let mut unpacked = Vec::new();
    from.take(limit as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|source| CodecError::Corrupt { codec, source })?;
    if unpacked.len() > limit { Err(CodecError::TooLarge { limit }) } else { Ok(unpacked) }
}

fn snappy_pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(bytes.len() / 2 + SNAPPY_HEADER_LEN);
    packed.extend_from_slice(&SNAPPY_MAGIC);
    packed.extend_from_slice(&1_u32.to_be_bytes());
    packed.extend_from_slice(&1_u32.to_be_bytes());
    for block in bytes.chunks(SNAPPY_BLOCK_LEN) {
        let block = snap::raw::Encoder::new().compress_vec(block).map_err(std::io::Error::other)?;
        let length = u32::try_from(block.len()).map_err(std::io::Error::other)?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}

/// Unpacks framed blocks, or one bare block as some clients send it.
fn snappy_unpack(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
    let corrupt = |source: std::io::Error| CodecError::Corrupt { codec: Codec::Snappy, source };
    if !bytes.starts_with(&SNAPPY_MAGIC) {
        return snappy_block(bytes, limit);
    }
    let cut = || corrupt(std::io::ErrorKind::UnexpectedEof.into());
    let mut rest = bytes.get(SNAPPY_HEADER_LEN..).ok_or_else(cut)?;
    let mut unpacked = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or_else(cut)?;
        unpacked.extend(snappy_block(block, limit - unpacked.len())?);
        rest = after;
    }
    Ok(unpacked)
}

fn snappy_block(block: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
    let corrupt =
        |error| CodecError::Corrupt { codec: Codec::Snappy, source: std::io::Error::other(error) };
    // The block says beforehand what it unpacks to: nothing is reserved for a lie over the limit.
    if snap::raw::decompress_len(block).map_err(corrupt)? > limit {
        return Err(CodecError::TooLarge { limit });
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn every_codec_unpacks_what_it_packed() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i / 100) as u8).collect();
        for codec in ALL {
            let packed = codec.pack(&bytes).expect("pack");
            assert_eq!(codec.unpack(&packed, bytes.len()).expect("unpack"), bytes, "{codec:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bytes = vec![0; 1 << 20];
        for codec in ALL.into_iter().skip(1) {
            let packed = codec.pack(&bytes).expect("pack");
            let error = codec.unpack(&packed, 1000).expect_err("too large");
            assert!(matches!(error, CodecError::TooLarge { limit: 1000 }), "{codec:?}: {error}");
        }
    }

    #[test]
    fn bytes_of_no_codec_are_an_error() {
        for codec in ALL.into_iter().skip(1) {
            assert!(codec.unpack(b"certainly not packed", 1000).is_err(), "{codec:?}");
        }
    }
}
