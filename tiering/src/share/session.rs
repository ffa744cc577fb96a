//! One guest, as the owner of the cache serves it.
//!
//! Invariants: the guest waits for the store and the disk, and nobody waits for the guest: what it
//! does not read in time ends it; whatever it held, brought or waited for ends with it; a frame that
//! makes no sense ends it and is counted; its bytes are believed by nobody who did not compare them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::flights::{Asked, Flight, Most};
use super::frame::{COUNT_MAX, FrameError, GuestSays, OwnerSays, Placed, VERSION, Wire};
use super::host::Host;
use super::link::{ASKS_MAX, FILLS_MAX};
use crate::cache::{CacheClass, ChunkKey, Held};
use crate::checksum::crc64;

/// Chunks that one answer gives at most.
const HERE_MAX: u32 = 32;
/// The part of what a guest may hold that runs of chunks leave to single ones.
const KEPT_PART: u32 = 4;
/// Chunks that one guest may be bringing: what its downloads ask for at a time.
const BROUGHT_MAX: u32 = 8192;
/// Answers that a guest has not read yet. One that keeps to its bounds never has so many.
const ANSWERS_MAX: usize = 4 * (ASKS_MAX + FILLS_MAX);

/// Why a guest is shown the door.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it says hello again")]
    SecondHello,
    #[error("it does not say hello first")]
    NoHello,
    #[error("it talks version {0}, this icecore talks {known}", known = VERSION)]
    Version(u16),
    #[error("it lets go of slot {0}, which it does not hold")]
    NotHeld(u32),
    #[error("it has more on its way than it may")]
    TooMuch,
    #[error("the bytes that it gives are not those that it sent")]
    Torn,
    #[error("it does not read its answers")]
    Deaf,
}

impl SessionEnd {
    /// Whether the guest did what no icecore does; otherwise it is just gone.
    pub(super) fn is_offence(&self) -> bool {
        !matches!(self, Self::Io(error) if error.kind() != io::ErrorKind::InvalidData)
    }
}

/// What a guest asks for.
#[derive(Clone, Copy)]
struct Question {
    ask: u32,
    key: ChunkKey,
    count: u32,
    class: CacheClass,
}

/// Something that the guest waits for.
enum Done {
    /// A flight has ended, or was waited for too long.
    Landed { question: Question, overdue: bool },
    /// A chunk was taken in, or not.
    Filled { ask: u32, held: Option<Held> },
}

/// The state of one guest. It is served by [`serve`].
pub(super) struct Session {
    host: Arc<Host>,
    answers: mpsc::Sender<Bytes>,
    held: HashMap<u32, Vec<Held>>,
    holds: u32,
    brought: HashMap<ChunkKey, Flight>,
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    asks: usize,
    fills: usize,
}

/// Serves a guest until it leaves, for whatever reason.
pub(super) async fn serve(host: Arc<Host>, wire: Wire) -> Result<(), SessionEnd> {
    let (mut sink, mut frames) = wire.split();
    let (answers, mut to_send) = mpsc::channel::<Bytes>(ANSWERS_MAX);
    let mut session = Session::new(host, answers);
    let hear = async {
        loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Some(frame) => session.hear(frame?.freeze())?,
                    None => return Ok::<(), SessionEnd>(()),
                },
                Some(done) = session.pending.next() => session.done(done)?,
            }
        }
    };
    let tell = async {
        while let Some(frame) = to_send.recv().await {
            sink.send(frame).await?;
        }
        Ok::<(), SessionEnd>(())
    };
    tokio::select! {
        heard = hear => heard,
        told = tell => told,
    }
}

impl Session {
    fn new(host: Arc<Host>, answers: mpsc::Sender<Bytes>) -> Self {
        Self {
            host,
            answers,
            held: HashMap::new(),
            holds: 0,
            brought: HashMap::new(),
            pending: FuturesUnordered::new(),
            asks: 0,
            fills: 0,
        }
    }

    fn hear(&mut self, frame: Bytes) -> Result<(), SessionEnd> {
        match GuestSays::decode(frame)? {
            GuestSays::Hello { .. } => Err(SessionEnd::SecondHello),
            GuestSays::Ask { ask, key, count, class } => {
                if self.asks >= ASKS_MAX {
                    return Err(SessionEnd::TooMuch);
                }
                self.asks += 1;
                self.answer(Question { ask, key, count, class }, false)
            }
            GuestSays::Fill { ask, key, class, sum, bytes } => {
                if crc64(&[&bytes]) != sum {
                    return Err(SessionEnd::Torn);
                }
                self.fill(ask, (key, class), bytes)
            }
            GuestSays::GiveUp { key, count } => {
                // The first one ends last: who waits for it then finds the others free as well.
                for n in (0..count).rev() {
                    self.brought.remove(&ChunkKey { chunk: key.chunk + n, ..key });
                }
                Ok(())
            }
            GuestSays::Release { slot } => self.release(slot),
            GuestSays::Wrong { key } => {
                self.host.cache.forget(&key);
                Ok(())
            }
        }
    }

    fn done(&mut self, done: Done) -> Result<(), SessionEnd> {
        match done {
            Done::Landed { question, overdue } => {
                if overdue {
                    self.host.counters.guest_fallbacks.bump();
                    self.host.flights.overdue(&question.key);
                }
                self.answer(question, true)
            }
            Done::Filled { ask, held } => {
                self.fills -= 1;
                match held.filter(|_| self.room() > 0) {
                    Some(held) => {
                        let place = self.hold(held);
                        self.say(&OwnerSays::Filled { ask, place })
                    }
                    None => self.say(&OwnerSays::Refused { ask }),
                }
            }
        }
    }

    /// Answers an ask; it was told to wait before or not.
    fn answer(&mut self, question: Question, told: bool) -> Result<(), SessionEnd> {
        let Question { ask, key, count, class } = question;
        let yours = BROUGHT_MAX.saturating_sub(self.brought.len() as u32).min(COUNT_MAX);
        let here = count.min(HERE_MAX).min(self.room_for(count));
        let most = Most { here, yours: count.min(yours) };
        let says = match self.host.flights.ask(&self.host.cache, key, class, most) {
            Asked::Wait(landing) => {
                let landed = timeout(self.host.patience.flight, landing);
                self.pending.push(Box::pin(async move {
                    let overdue = landed.await.is_err();
                    Done::Landed { question, overdue }
                }));
                if told {
                    return Ok(());
                }
                return self.say(&OwnerSays::Wait { ask });
            }
            Asked::Here(held) if !held.is_empty() => {
                let places = held.into_iter().map(|held| self.hold(held)).collect();
                OwnerSays::Here { ask, places }
            }
            Asked::Yours(flights) if !flights.is_empty() => {
                let count = flights.len() as u32;
                self.brought.extend(flights.into_iter().map(|flight| (flight.key, flight)));
                OwnerSays::Yours { ask, count }
            }
            Asked::Here(_) | Asked::Yours(_) => OwnerSays::Alone { ask },
        };
        self.asks -= 1;
        self.say(&says)
    }

    /// Takes a chunk in, unless somebody else brings it or has brought it.
    fn fill(
        &mut self,
        ask: u32,
        (key, class): (ChunkKey, CacheClass),
        bytes: Bytes,
    ) -> Result<(), SessionEnd> {
        if self.fills >= FILLS_MAX {
            return Err(SessionEnd::TooMuch);
        }
        let most = Most { here: self.room().min(1), yours: 1 };
        let flight = self.brought.remove(&key).or_else(|| {
            match self.host.flights.ask(&self.host.cache, key, class, most) {
                Asked::Yours(flights) => flights.into_iter().next(),
                Asked::Here(_) | Asked::Wait(_) => None,
            }
        });
        let (Some(flight), Some(room)) = (flight, self.host.room_for_a_fill()) else {
            return self.say(&OwnerSays::Refused { ask });
        };
        self.fills += 1;
        let host = Arc::clone(&self.host);
        self.pending.push(Box::pin(async move {
            let held = host.take_in(key, class, bytes).await;
            // Not before the chunk can be found.
            drop((flight, room));
            Done::Filled { ask, held }
        }));
        Ok(())
    }

    /// How many of so many chunks this guest is given at once. A run leaves room for single ones, an
    /// index say, and for what is being taken in, as long as it gets one.
    fn room_for(&self, count: u32) -> u32 {
        let room = self.room();
        if count == 1 {
            return room;
        }
        let kept = self.host.holds_max() / KEPT_PART + self.fills as u32;
        room.saturating_sub(kept).max(room.min(1))
    }

    /// How many more chunks this guest may hold.
    fn room(&self) -> u32 {
        self.host.holds_max().saturating_sub(self.holds).min(self.host.holds_left())
    }

    fn hold(&mut self, held: Held) -> Placed {
        let place = Placed { slot: held.slot(), len: held.len() };
        self.held.entry(held.slot()).or_default().push(held);
        self.holds += 1;
        self.host.holds_changed(1);
        place
    }

    fn release(&mut self, slot: u32) -> Result<(), SessionEnd> {
        let held = self.held.get_mut(&slot).ok_or(SessionEnd::NotHeld(slot))?;
        drop(held.pop());
        if held.is_empty() {
            self.held.remove(&slot);
        }
        self.holds -= 1;
        self.host.holds_changed(-1);
        Ok(())
    }

    fn say(&self, says: &OwnerSays) -> Result<(), SessionEnd> {
        self.answers.try_send(says.encode()).map_err(|_| SessionEnd::Deaf)
    }
}

/// What the guest still reads stays for as long as it does. When it is the owner that ends, it stays to
/// the owner's end: what the guest was told last it may take up yet.
impl Drop for Session {
    fn drop(&mut self) {
        self.host.holds_changed(-i64::from(self.holds));
        self.host.cache.leave(self.held.drain().flat_map(|(_, held)| held));
        if !self.host.is_closing() {
            self.host.cache.sweep();
        }
    }
}
