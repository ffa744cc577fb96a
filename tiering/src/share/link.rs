//! A guest's way to the owner of the cache: what it asks, and what it is answered.
//!
//! Invariants: nobody waits for a silent owner longer than [`Patience`] says, and while it is silent
//! nobody else waits at all (`asks`); what an answer gives is given back when nobody takes it; what is
//! on the way to the owner is bounded by the asks and fills that are open and by what is held.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::asks::{Asks, Open, Wanted};
use super::frame::{COUNT_MAX, GuestSays, OwnerSays, Placed, VERSION, Wire, framed};
use super::loan::{Lender, Loan};
use super::socket;
use crate::cache::{CHUNK_BYTES, CacheClass, ChunkKey};
use crate::checksum::crc64;

/// Connecting, and the first frame of the other side.
pub(super) const HELLO_MAX: Duration = Duration::from_secs(1);
/// Asks of one guest that are open at a time.
pub(super) const ASKS_MAX: usize = 64;
/// Frames that are sent with one call: slots are let go of in many at a time.
const FRAMES_MAX: usize = 64;
/// Fills of one guest that are open at a time.
pub(super) const FILLS_MAX: usize = 8;

/// How long to wait for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// An owner answers from memory, within a millisecond. One that takes longer than the 50 ms of
    /// the default is stopped or starved, and the store's first byte is about as far away.
    answer: Duration,
    /// A fill is answered when the chunk is written. A disk that takes longer than this for a chunk
    /// behind some others keeps readers waiting longer than a second write does.
    fill: Duration,
    /// For a chunk that somebody else brings, 5 s: a request of 32 MiB takes as long from a store
    /// that gives 6 MB/s. To fetch it twice is cheaper than a reader that waits on. The owner keeps
    /// to it, and gives the chunk to who waits.
    pub(super) flight: Duration,
}

impl Patience {
    pub(super) fn of(answer: Duration) -> Self {
        Self { answer, fill: answer * 5, flight: answer * 100 }
    }

    /// For all who are to bring a chunk one after another: then it is fetched by who waits.
    pub(super) fn flights(&self) -> Duration {
        self.flight * 2
    }
}

/// An ask or fill by its number, and where it is answered.
type Asked = (u32, mpsc::UnboundedReceiver<Answer>);

/// What the owner says to an ask or a fill.
enum Answer {
    Here(Vec<Loan>),
    Yours(Brought),
    Wait,
    No,
}

/// What the owner knows of a chunk.
pub(super) enum Heard {
    /// It is there, and so are those behind it; whether it was waited for.
    Here(Vec<Loan>, bool),
    /// So many are to be brought from here.
    Yours(Brought),
    /// Nothing that would help.
    Nothing,
}

/// The connection to one owner.
pub(super) struct Link {
    lender: Arc<Lender>,
    open: Mutex<Asks<Answer>>,
    next: AtomicU32,
    asks: Arc<Semaphore>,
    fills: Arc<Semaphore>,
    patience: Patience,
    closed: AtomicBool,
}

/// The two ends of a connection that nobody works at yet.
pub(super) struct Connected {
    pub(super) link: Arc<Link>,
    wire: Wire,
    out: mpsc::UnboundedReceiver<Bytes>,
}

impl Connected {
    /// Meets the owner of a folder.
    ///
    /// # Errors
    /// When there is none, or none that this process can talk to.
    pub(super) async fn to(folder: &Path, patience: Patience) -> io::Result<Self> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        timeout(HELLO_MAX, Self::meet(folder, patience)).await.map_err(late)?
    }

    async fn meet(folder: &Path, patience: Patience) -> io::Result<Self> {
        let mut wire = framed(socket::connect(folder).await?);
        wire.send(GuestSays::Hello { version: VERSION }.encode()).await?;
        let first = wire.next().await.ok_or(io::ErrorKind::ConnectionAborted)??;
        let terms = match OwnerSays::decode(first.freeze()).map_err(io::Error::other)? {
            OwnerSays::Welcome { version: VERSION, terms } => terms,
            _ => return Err(io::Error::other("it talks in another way")),
        };
        let whole = terms.slots > 0 && terms.slots_per_slab > 0 && terms.holds_max > 0;
        if !whole || u64::from(terms.chunk_bytes) != CHUNK_BYTES {
            return Err(io::Error::other("its cache is of another kind"));
        }
        let (sender, out) = mpsc::unbounded_channel();
        let link = Link {
            lender: Lender::new(folder, terms, sender)?,
            open: Mutex::default(),
            next: AtomicU32::new(0),
            asks: Arc::new(Semaphore::new(ASKS_MAX)),
            fills: Arc::new(Semaphore::new(FILLS_MAX)),
            patience,
            closed: AtomicBool::new(false),
        };
        Ok(Self { link: Arc::new(link), wire, out })
    }

    /// Carries frames until the connection ends, for whatever reason.
    pub(super) async fn run(self) {
        let Self { link, wire, mut out } = self;
        let (mut sink, mut frames) = wire.split();
        let hear = async {
            while let Some(Ok(frame)) = frames.next().await {
                if let Err(why) = link.hear(frame.freeze()) {
                    tracing::warn!(%why, "the owner of the read cache makes no sense");
                    return;
                }
            }
        };
        let tell = async {
            let mut frames = Vec::with_capacity(FRAMES_MAX);
            while out.recv_many(&mut frames, FRAMES_MAX).await > 0 {
                for frame in frames.drain(..) {
                    if sink.feed(frame).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = hear => {}
            () = tell => {}
        }
        link.close();
    }
}

impl Link {
    pub(super) fn lender(&self) -> &Arc<Lender> {
        &self.lender
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Asks for a chunk and those behind it, as many as one question may be about.
    pub(super) async fn ask(
        self: &Arc<Self>,
        key: ChunkKey,
        count: u32,
        class: CacheClass,
    ) -> Heard {
        let count = count.min(COUNT_MAX);
        let says = |ask| GuestSays::Ask { ask, key, count, class };
        let place = self.place(&self.asks, self.patience.answer).await;
        let asked = place.and_then(|place| self.put(place, Wanted::Chunks(key, count), says));
        let Some(mut asked) = asked else { return Heard::Nothing };
        match self.in_time(self.patience.answer, &mut asked).await {
            Some(Answer::Here(loans)) => Heard::Here(loans, false),
            Some(Answer::Yours(brought)) => Heard::Yours(brought),
            Some(Answer::Wait) => match timeout(self.patience.flights(), asked.1.recv()).await {
                Ok(Some(Answer::Here(loans))) => Heard::Here(loans, true),
                Ok(Some(Answer::Yours(brought))) => Heard::Yours(brought),
                _ => Heard::Nothing,
            },
            Some(Answer::No) | None => Heard::Nothing,
        }
    }

    /// Gives the owner a chunk. `None` when it does not take it, or not in time.
    pub(super) async fn fill(
        self: &Arc<Self>,
        key: ChunkKey,
        class: CacheClass,
        bytes: Bytes,
    ) -> Option<Loan> {
        let sum = crc64(&[&bytes]);
        let fill = |ask| GuestSays::Fill { ask, key, class, sum, bytes };
        let Some(place) = self.place(&self.fills, self.patience.fill).await else {
            self.lender.tell(&GuestSays::GiveUp { key, count: 1 });
            return None;
        };
        let mut asked = self.put(place, Wanted::Fill, fill)?;
        match self.in_time(self.patience.fill, &mut asked).await? {
            Answer::Here(loans) => loans.into_iter().next(),
            Answer::Yours(_) | Answer::Wait | Answer::No => None,
        }
    }

    /// A chunk is not what it should be.
    pub(super) fn wrong(&self, key: ChunkKey) {
        self.lender.tell(&GuestSays::Wrong { key });
    }

    /// `None` when the owner does not answer in time, and at once while it is silent.
    async fn in_time(&self, wait: Duration, asked: &mut Asked) -> Option<Answer> {
        if self.open.lock().are_silent() {
            return None;
        }
        let (ask, answers) = asked;
        if let Ok(answer) = timeout(wait, answers.recv()).await {
            return answer;
        }
        self.open.lock().is_late(*ask);
        None
    }

    /// A place among what may be open; none while the owner is silent.
    async fn place(&self, room: &Arc<Semaphore>, wait: Duration) -> Option<OwnedSemaphorePermit> {
        if self.open.lock().are_silent() || self.is_closed() {
            return None;
        }
        timeout(wait, Arc::clone(room).acquire_owned()).await.ok()?.ok()
    }

    fn put(
        &self,
        place: OwnedSemaphorePermit,
        wanted: Wanted,
        says: impl FnOnce(u32) -> GuestSays,
    ) -> Option<Asked> {
        let ask = self.next.fetch_add(1, Ordering::Relaxed);
        let answers = self.open.lock().put(ask, wanted, place);
        // Looked at after it was entered, so that it is either cleared or seen.
        if self.is_closed() {
            self.open.lock().clear();
            return None;
        }
        self.lender.tell(&says(ask));
        Some((ask, answers))
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.open.lock().clear();
    }

    /// What the owner says. What it gives is given back by being dropped.
    fn hear(self: &Arc<Self>, frame: Bytes) -> Result<(), Senseless> {
        let (ask, answer) = match OwnerSays::decode(frame)? {
            OwnerSays::Welcome { .. } => return Err(Senseless::SecondWelcome),
            OwnerSays::Wait { ask } => {
                let mut open = self.open.lock();
                let waits = open.waits(ask).ok_or(Senseless::NotAsked(ask))?;
                let _ = waits.answers.send(Answer::Wait);
                return Ok(());
            }
            OwnerSays::Here { ask, places } => (ask, Some(places)),
            OwnerSays::Filled { ask, place } => (ask, Some(vec![place])),
            OwnerSays::Yours { ask, count } => return self.hear_yours(ask, count),
            OwnerSays::Alone { ask } | OwnerSays::Refused { ask } => (ask, None),
        };
        let open = self.open.lock().answered(ask).ok_or(Senseless::NotAsked(ask))?;
        let answer = match answer {
            Some(places) => self.hear_here(&open, places)?,
            None => Answer::No,
        };
        let _ = open.answers.send(answer);
        Ok(())
    }

    fn hear_here(&self, open: &Open<Answer>, places: Vec<Placed>) -> Result<Answer, Senseless> {
        let most = match open.wanted {
            Wanted::Chunks(_, count) => count as usize,
            Wanted::Fill => 1,
        };
        if places.len() > most {
            return Err(Senseless::TooMany);
        }
        // All of them are taken over, so that those behind one that cannot be had are given back.
        let lent: Vec<_> = places.into_iter().map(|place| self.lender.lend(place)).collect();
        let had = |lent: io::Result<Loan>| {
            lent.inspect_err(|error| tracing::debug!(%error, "a chunk lent cannot be had")).ok()
        };
        let loans: Vec<_> = lent.into_iter().map_while(had).collect();
        Ok(if loans.is_empty() { Answer::No } else { Answer::Here(loans) })
    }

    fn hear_yours(self: &Arc<Self>, ask: u32, count: u32) -> Result<(), Senseless> {
        let open = self.open.lock().answered(ask).ok_or(Senseless::NotAsked(ask))?;
        match open.wanted {
            Wanted::Chunks(next, most) if count <= most => {
                let brought = Brought { link: Arc::clone(self), next, left: count };
                let _ = open.answers.send(Answer::Yours(brought));
                Ok(())
            }
            _ => Err(Senseless::TooMany),
        }
    }
}

/// Why an owner is not talked to any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Senseless {
    #[error(transparent)]
    Frame(#[from] super::frame::FrameError),
    #[error("it says welcome again")]
    SecondWelcome,
    #[error("it answers {0}, which is not open, or answered")]
    NotAsked(u32),
    #[error("it gives more than it was asked for")]
    TooMany,
}

/// Chunks that the owner counts on this process for. What is not brought is given up when this is
/// dropped.
pub(super) struct Brought {
    link: Arc<Link>,
    next: ChunkKey,
    left: u32,
}

impl Brought {
    /// How many are left.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// A chunk is about to be given to the owner, or to be given up.
    pub(super) fn passes(&mut self, key: &ChunkKey) {
        if self.left > 0 && *key == self.next {
            self.next.chunk = self.next.chunk.saturating_add(1);
            self.left -= 1;
        }
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        if self.left > 0 {
            self.link.lender.tell(&GuestSays::GiveUp { key: self.next, count: self.left });
        }
    }
}
