//! The bytes between a guest and the owner of a cache: frames on a Unix socket.
//!
//! ```text
//! frame    length 4 (of what follows) | kind 1 | body
//! chunk    segment id 16 | number 4
//!
//! guest -> owner
//!  1 hello      "ICESHARE" | version 2
//!  2 ask        ask 4 | chunk 20 | count 4 | class 1    who brings this chunk and those behind it?
//!  3 fill       ask 4 | chunk 20 | class 1 | CRC-64/NVME 8 | its bytes
//!  4 give up    chunk 20 | count 4                      they do not come from here
//!  5 release    slot 4                                  one hold of it
//!  6 wrong      chunk 20                                it is not what its object holds
//!
//! owner -> guest
//! 65 welcome    version 2 | chunk bytes 4 | era 16 | slots 4 | slots in a slab 4 | holds at most 4
//! 66 here       ask 4 | (slot 4 | length 4) for the chunk and those behind it, each held once
//! 67 yours      ask 4 | count 4                         the guest is to bring so many
//! 68 wait       ask 4                                   somebody brings it: another answer follows
//! 69 alone      ask 4                                   fetch it, and keep it
//! 70 filled     ask 4 | slot 4 | length 4               it is there, and held once
//! 71 refused    ask 4                                   it was not taken in
//! ```
//! Numbers are big-endian. The class is that of the chunk's topic: 0 normal, 1 keep, 2 pass. Both are
//! processes of one user on one machine; all the same nothing is believed.
//!
//! Invariant: decoding takes any bytes and gives a frame or an error.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::cache::{CHUNK_BYTES, CacheClass, ChunkKey, Era};
use crate::ids::SegmentId;

/// The version of all this. Another one is not talked to.
pub(super) const VERSION: u16 = 2;
/// The longest frame: a chunk and what stands before it.
const FRAME_BYTES_MAX: usize = CHUNK_BYTES as usize + 64;
/// A request of the read-ahead takes no more chunks than this.
pub(super) const COUNT_MAX: u32 = 256;

const MAGIC: &[u8; 8] = b"ICESHARE";
const HELLO: u8 = 1;
const ASK: u8 = 2;
const FILL: u8 = 3;
const GIVE_UP: u8 = 4;
const RELEASE: u8 = 5;
const WRONG: u8 = 6;
const WELCOME: u8 = 65;
const HERE: u8 = 66;
const YOURS: u8 = 67;
const WAIT: u8 = 68;
const ALONE: u8 = 69;
const FILLED: u8 = 70;
const REFUSED: u8 = 71;

/// A socket that frames go through.
pub(super) type Wire = Framed<UnixStream, LengthDelimitedCodec>;

/// Frames on a socket; a longer one is an error of the stream.
pub(super) fn framed(stream: UnixStream) -> Wire {
    let codec = LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX).new_codec();
    Framed::new(stream, codec)
}

/// What a guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GuestSays {
    Hello { version: u16 },
    Ask { ask: u32, key: ChunkKey, count: u32, class: CacheClass },
    Fill { ask: u32, key: ChunkKey, class: CacheClass, sum: u64, bytes: Bytes },
    GiveUp { key: ChunkKey, count: u32 },
    Release { slot: u32 },
    Wrong { key: ChunkKey },
}

/// What the owner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnerSays {
    Welcome { version: u16, terms: Terms },
    Here { ask: u32, places: Vec<Placed> },
    Yours { ask: u32, count: u32 },
    Wait { ask: u32 },
    Alone { ask: u32 },
    Filled { ask: u32, place: Placed },
    Refused { ask: u32 },
}

/// Whose cache it is, and what a guest may have of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) chunk_bytes: u32,
    pub(super) era: Era,
    pub(super) slots: u32,
    pub(super) slots_per_slab: u32,
    pub(super) holds_max: u32,
}

/// Where a chunk lies, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) slot: u32,
    pub(super) len: u32,
}

/// A frame that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of kind {0} is not known")]
    Kind(u8),
    #[error("a frame of kind {0} is too short or too long")]
    Length(u8),
    #[error("an empty frame")]
    Empty,
    #[error("the other side is no icecore")]
    Magic,
    #[error("{0} chunks are asked for")]
    Count(u32),
    #[error("chunks beyond the last number there is")]
    Chunk,
    #[error("a class of number {0} is not known")]
    Class(u8),
}

impl GuestSays {
    pub(super) fn encode(&self) -> Bytes {
        let payload = if let Self::Fill { bytes, .. } = self { bytes.len() } else { 0 };
        let mut to = BytesMut::with_capacity(payload + 64);
        match self {
            Self::Hello { version } => {
                to.put_u8(HELLO);
                to.put_slice(MAGIC);
                to.put_u16(*version);
            }
            Self::Ask { ask, key, count, class } => {
                to.put_u8(ASK);
                to.put_u32(*ask);
                put_key(&mut to, key);
                to.put_u32(*count);
                put_class(&mut to, *class);
            }
            Self::Fill { ask, key, class, sum, bytes } => {
                to.put_u8(FILL);
                to.put_u32(*ask);
                put_key(&mut to, key);
                put_class(&mut to, *class);
                to.put_u64(*sum);
                to.put_slice(bytes);
            }
            Self::GiveUp { key, count } => {
                to.put_u8(GIVE_UP);
                put_key(&mut to, key);
                to.put_u32(*count);
            }
            Self::Release { slot } => {
                to.put_u8(RELEASE);
                to.put_u32(*slot);
            }
            Self::Wrong { key } => {
                to.put_u8(WRONG);
                put_key(&mut to, key);
            }
        }
        to.freeze()
    }

    pub(super) fn decode(frame: Bytes) -> Result<Self, FrameError> {
        let mut from = Fields::of(frame)?;
        let says = match from.kind {
            HELLO => {
                if &from.bytes::<8>()? != MAGIC {
                    return Err(FrameError::Magic);
                }
                Self::Hello { version: u16::from_be_bytes(from.bytes()?) }
            }
            ASK => {
                let (ask, key) = (from.number()?, from.key()?);
                Self::Ask { ask, key, count: from.count(&key)?, class: from.class()? }
            }
            FILL => {
                let (ask, key, class) = (from.number()?, from.key()?, from.class()?);
                let sum = u64::from_be_bytes(from.bytes()?);
                let bytes = std::mem::take(&mut from.rest);
                if bytes.is_empty() || bytes.len() as u64 > CHUNK_BYTES {
                    return Err(FrameError::Length(FILL));
                }
                Self::Fill { ask, key, class, sum, bytes }
            }
            GIVE_UP => {
                let key = from.key()?;
                Self::GiveUp { key, count: from.count(&key)? }
            }
            RELEASE => Self::Release { slot: from.number()? },
            WRONG => Self::Wrong { key: from.key()? },
            kind => return Err(FrameError::Kind(kind)),
        };
        from.end().map(|()| says)
    }
}

impl OwnerSays {
    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::with_capacity(64);
        let mut head = |kind: u8, ask: u32| {
            to.put_u8(kind);
            to.put_u32(ask);
        };
        match self {
            Self::Welcome { version, terms } => {
                to.put_u8(WELCOME);
                to.put_u16(*version);
                to.put_u32(terms.chunk_bytes);
                to.put_slice(&terms.era);
                to.put_u32(terms.slots);
                to.put_u32(terms.slots_per_slab);
                to.put_u32(terms.holds_max);
            }
            Self::Here { ask, places } => {
                head(HERE, *ask);
                places.iter().for_each(|place| put_place(&mut to, place));
            }
            Self::Yours { ask, count } => {
                head(YOURS, *ask);
                to.put_u32(*count);
            }
            Self::Wait { ask } => head(WAIT, *ask),
            Self::Alone { ask } => head(ALONE, *ask),
            Self::Filled { ask, place } => {
                head(FILLED, *ask);
                put_place(&mut to, place);
            }
            Self::Refused { ask } => head(REFUSED, *ask),
        }
        to.freeze()
    }

    pub(super) fn decode(frame: Bytes) -> Result<Self, FrameError> {
        let mut from = Fields::of(frame)?;
        if from.kind == WELCOME {
            let version = u16::from_be_bytes(from.bytes()?);
            // A later version may say more.
            let terms = Terms {
                chunk_bytes: from.number()?,
                era: from.bytes()?,
                slots: from.number()?,
                slots_per_slab: from.number()?,
                holds_max: from.number()?,
            };
            return Ok(Self::Welcome { version, terms });
        }
        let ask = from.number()?;
        let says = match from.kind {
            HERE => Self::Here { ask, places: from.places()? },
            YOURS => match from.number()? {
                count @ 1..=COUNT_MAX => Self::Yours { ask, count },
                count => return Err(FrameError::Count(count)),
            },
            WAIT => Self::Wait { ask },
            ALONE => Self::Alone { ask },
            FILLED => Self::Filled { ask, place: from.place()? },
            REFUSED => Self::Refused { ask },
            kind => return Err(FrameError::Kind(kind)),
        };
        from.end().map(|()| says)
    }
}

fn put_key(to: &mut BytesMut, key: &ChunkKey) {
    to.put_slice(key.segment.as_bytes());
    to.put_u32(key.chunk);
}

fn put_class(to: &mut BytesMut, class: CacheClass) {
    to.put_u8(match class {
        CacheClass::Normal => 0,
        CacheClass::Keep => 1,
        CacheClass::Pass => 2,
    });
}

fn put_place(to: &mut BytesMut, place: &Placed) {
    to.put_u32(place.slot);
    to.put_u32(place.len);
}

/// What is left of a frame.
struct Fields {
    kind: u8,
    rest: Bytes,
}

impl Fields {
    fn of(mut frame: Bytes) -> Result<Self, FrameError> {
        if frame.is_empty() {
            return Err(FrameError::Empty);
        }
        Ok(Self { kind: frame.get_u8(), rest: frame })
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let bytes = self.rest.first_chunk().copied().ok_or(FrameError::Length(self.kind))?;
        self.rest.advance(N);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, FrameError> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn key(&mut self) -> Result<ChunkKey, FrameError> {
        let segment = SegmentId::from_bytes(self.bytes()?);
        Ok(ChunkKey { segment, chunk: self.number()? })
    }

    fn count(&mut self, key: &ChunkKey) -> Result<u32, FrameError> {
        let count = self.number()?;
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(FrameError::Count(count));
        }
        key.chunk.checked_add(count).map(|_| count).ok_or(FrameError::Chunk)
    }

    fn class(&mut self) -> Result<CacheClass, FrameError> {
        match self.bytes()? {
            [0] => Ok(CacheClass::Normal),
            [1] => Ok(CacheClass::Keep),
            [2] => Ok(CacheClass::Pass),
            [other] => Err(FrameError::Class(other)),
        }
    }

    fn place(&mut self) -> Result<Placed, FrameError> {
        let place = Placed { slot: self.number()?, len: self.number()? };
        let fits = (1..=CHUNK_BYTES as u32).contains(&place.len);
        fits.then_some(place).ok_or(FrameError::Length(self.kind))
    }

    fn places(&mut self) -> Result<Vec<Placed>, FrameError> {
        let count = (self.rest.len() / 8) as u32;
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(FrameError::Count(count));
        }
        (0..count).map(|_| self.place()).collect()
    }

    fn end(&self) -> Result<(), FrameError> {
        self.rest.is_empty().then_some(()).ok_or(FrameError::Length(self.kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: ChunkKey = ChunkKey { segment: SegmentId::from_bytes([7; 16]), chunk: 9 };
    const KEEP: CacheClass = CacheClass::Keep;

    fn guest_frames() -> Vec<GuestSays> {
        vec![
            GuestSays::Hello { version: 1 },
            GuestSays::Ask { ask: 3, key: KEY, count: COUNT_MAX, class: CacheClass::Normal },
            GuestSays::Ask { ask: 3, key: KEY, count: COUNT_MAX, class: CacheClass::Pass },
            GuestSays::Fill { ask: 4, key: KEY, class: KEEP, sum: 5, bytes: vec![1; 300].into() },
            GuestSays::GiveUp { key: KEY, count: 2 },
            GuestSays::Release { slot: 8 },
            GuestSays::Wrong { key: KEY },
        ]
    }

    fn owner_frames() -> Vec<OwnerSays> {
        let terms =
            Terms { chunk_bytes: 1, era: [2; 16], slots: 3, slots_per_slab: 4, holds_max: 5 };
        let place = Placed { slot: 6, len: 7 };
        vec![
            OwnerSays::Welcome { version: 1, terms },
            OwnerSays::Here { ask: 1, places: vec![place; 3] },
            OwnerSays::Yours { ask: 2, count: 3 },
            OwnerSays::Wait { ask: 4 },
            OwnerSays::Alone { ask: 5 },
            OwnerSays::Filled { ask: 6, place },
            OwnerSays::Refused { ask: 7 },
        ]
    }

    #[test]
    fn every_frame_comes_back_and_a_shorter_one_is_an_error_or_another_frame() {
        for says in guest_frames() {
            let bytes = says.encode();
            assert_eq!(GuestSays::decode(bytes.clone()), Ok(says.clone()));
            (0..bytes.len()).for_each(|cut| {
                assert_ne!(GuestSays::decode(bytes.slice(..cut)), Ok(says.clone()));
            });
        }
        for says in owner_frames() {
            let bytes = says.encode();
            assert_eq!(OwnerSays::decode(bytes.clone()), Ok(says.clone()));
            (0..bytes.len()).for_each(|cut| {
                assert_ne!(OwnerSays::decode(bytes.slice(..cut)), Ok(says.clone()));
            });
        }
    }

    #[test]
    fn the_bytes_stand_where_the_format_says() {
        let ask = GuestSays::Ask { ask: 0x0102_0304, key: KEY, count: 5, class: KEEP }.encode();
        assert_eq!(ask[..5], [2, 1, 2, 3, 4]);
        assert_eq!(ask[5..21], [7; 16]);
        assert_eq!(ask[21..], [0, 0, 0, 9, 0, 0, 0, 5, 1]);
        let hello = GuestSays::Hello { version: 1 }.encode();
        assert_eq!(hello[..], *b"\x01ICESHARE\x00\x01");
    }

    #[test]
    fn counts_and_lengths_out_of_bounds_are_errors() {
        let asks = |key, count| GuestSays::Ask { ask: 1, key, count, class: KEEP }.encode();
        let ask = |key, count| GuestSays::decode(asks(key, count));
        assert_eq!(ask(KEY, 0), Err(FrameError::Count(0)));
        assert_eq!(ask(KEY, COUNT_MAX + 1), Err(FrameError::Count(COUNT_MAX + 1)));
        assert_eq!(ask(ChunkKey { chunk: u32::MAX, ..KEY }, 1), Err(FrameError::Chunk));
        let fill = |len| {
            let bytes = vec![0; len].into();
            let fill = GuestSays::Fill { ask: 1, key: KEY, class: KEEP, sum: 0, bytes };
            GuestSays::decode(fill.encode())
        };
        let mut unknown = asks(KEY, 1).to_vec();
        *unknown.last_mut().unwrap() = 3;
        assert_eq!(GuestSays::decode(unknown.into()), Err(FrameError::Class(3)));
        assert_eq!(fill(0), Err(FrameError::Length(FILL)));
        assert_eq!(fill(CHUNK_BYTES as usize + 1), Err(FrameError::Length(FILL)));
        assert!(fill(CHUNK_BYTES as usize).is_ok());
        let filled = |len| OwnerSays::Filled { ask: 1, place: Placed { slot: 1, len } }.encode();
        assert_eq!(OwnerSays::decode(filled(0)), Err(FrameError::Length(FILLED)));
        assert!(OwnerSays::decode(filled(CHUNK_BYTES as u32 + 1)).is_err());
        assert_eq!(OwnerSays::decode(Bytes::new()), Err(FrameError::Empty));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(noise: Vec<u8>, kind in 0..80_u8) {
            let frame: Bytes = [&[kind][..], &noise].concat().into();
            let _ = GuestSays::decode(frame.clone());
            let _ = OwnerSays::decode(frame);
        }
    }
}
