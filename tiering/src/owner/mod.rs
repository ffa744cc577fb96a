//! Which broker the cluster's objects belong to: one at a time, and the others know it.
//!
//! ```text
//! <prefix>/<cluster-id>/meta/owner/<number:020>.meta      the highest number is the owner's
//! ```
//! An owner writes the next number every [`RENEW_EVERY`]. Create-only decides between two who want
//! the same number, on every store. Who finds that another has it is deposed, for good.
//!
//! ```text
//! an owner begins to change the store only within 60 s of its last renewal (the fence)
//!   + a deletion ends within its deadline (60 s)
//!   + 30 s for clocks that run unevenly
//!   = `free_after`: so long another one watches the last record before it takes over
//! ```
//! So no deletion of a deposed owner ends after another's first change. An upload that lands later
//! adds objects that no row names, and takes nothing away. Clocks of two machines
//! are never compared: each only measures how long it waited itself.
//!
//! An owner is a data directory (`instance`), not a process: after a restart it goes on at once. A
//! copy of it would too; the two depose each other at the next renewal, and the one that finds
//! itself deposed changes nothing more.
//!
//! A crash leaves a record that is not renewed: another waits for `free_after`, or is told by a
//! person not to. An orderly end says so in its last record.

mod record;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use record::Record;

use crate::meta::{Created, MetaError, MetaKind, MetaSnapshot, New, Numbered};
use crate::store::{NotOwner, VALID_FOR};
use crate::tiering::Tiering;

const OWNER: MetaKind = MetaKind::new("owner");
/// How often an owner renews.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// The pause after a renewal that failed.
const RETRY: Duration = Duration::from_secs(2);
/// For clocks that run unevenly, and requests that were on their way.
const MARGIN: Duration = Duration::from_secs(30);
/// How often a record is looked at while it is waited for its holder.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// Records that are kept.
const KEPT: usize = 3;
/// Numbers tried in a row that hold no record.
const TRIES: u64 = 8;

/// Who wants to own the store.
#[derive(Clone, Debug)]
pub struct OwnerIdentity {
    /// The data directory: the same over all its lives, another for every other.
    pub instance: String,
    /// In words, for people: a host, an address.
    pub holder: String,
}

/// When a record of another instance may be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOver {
    /// Never: this data directory knows nothing of what the other one did since.
    Never,
    /// When the other one ended in order, or wrote nothing for so long that it cannot live.
    WhenFree,
    /// Now: somebody knows that the other one is gone for good.
    Now,
}

/// Why the store is not owned.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another broker owns it.
    #[error(
        "the cluster in this store belongs to another broker: {holder}, last heard of by its record {object}"
    )]
    Held {
        /// Who, in words.
        holder: String,
        /// Its record.
        object: String,
    },
    /// A newer version wrote the record, or it is damaged.
    #[error("the record of the cluster's owner does not read: {object}")]
    Unreadable {
        /// The record.
        object: String,
    },
    /// The records cannot be read or written.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Held by an owner; renews when it is told to.
pub struct Ownership {
    tiering: Arc<Tiering>,
    record: Record,
    number: u64,
    kept: Vec<u64>,
}

impl Tiering {
    /// Becomes the store's owner. From now on changes of the store begin only while that is sure.
    /// `waiting` is told, each time that the last record was looked at, how long it will be watched
    /// still.
    ///
    /// # Errors
    /// [`OwnerError::Held`] when another broker owns the store.
    pub async fn own(
        self: &Arc<Self>,
        identity: OwnerIdentity,
        take_over: TakeOver,
        waiting: &(dyn Fn(Duration, &str) + Send + Sync),
    ) -> Result<Ownership, OwnerError> {
        self.vouch().await.map_err(MetaError::from)?;
        let records = self.numbered(OWNER);
        let kept = records.list().await.map_err(MetaError::from)?;
        let newest = self.newest_owner(records, &kept).await?;
        if let Some((snapshot, other)) = &newest
            && other.instance != identity.instance
        {
            self.pass_over(records, snapshot, other, take_over, waiting).await?;
        }
        let free_after = VALID_FOR + self.config.store.call_timeout + MARGIN;
        let record = Record {
            instance: identity.instance,
            run: uuid::Uuid::new_v4().simple().to_string(),
            holder: identity.holder,
            free_after_ms: u64::try_from(free_after.as_millis()).unwrap_or(u64::MAX),
            released: false,
        };
        let number = kept.last().copied().unwrap_or(0);
        let mut ownership = Ownership { tiering: Arc::clone(self), record, number, kept };
        ownership.renew().await?;
        Ok(ownership)
    }

    /// The newest record. One that does not read may be another version's: it is not passed over.
    async fn newest_owner(
        &self,
        records: Numbered<'_>,
        numbers: &[u64],
    ) -> Result<Option<(MetaSnapshot, Record)>, OwnerError> {
        let Some(last) = numbers.last() else { return Ok(None) };
        let unreadable = || OwnerError::Unreadable { object: records.name(*last).to_string() };
        let snapshot = match records.read(*last).await {
            Err(MetaError::Damaged { .. }) => return Err(unreadable()),
            read => read?,
        };
        let record = Record::decode(&snapshot).ok_or_else(unreadable)?;
        Ok(Some((snapshot, record)))
    }

    /// Returns when another instance's record may be passed over.
    async fn pass_over(
        &self,
        records: Numbered<'_>,
        snapshot: &MetaSnapshot,
        other: &Record,
        take_over: TakeOver,
        waiting: &(dyn Fn(Duration, &str) + Send + Sync),
    ) -> Result<(), OwnerError> {
        let object = records.name(snapshot.number).to_string();
        let held = || OwnerError::Held { holder: other.holder.clone(), object: object.clone() };
        match take_over {
            TakeOver::Never => return Err(held()),
            TakeOver::Now => return Ok(()),
            TakeOver::WhenFree if other.released => return Ok(()),
            TakeOver::WhenFree => {}
        }
        let free_at = Instant::now() + Duration::from_millis(other.free_after_ms);
        loop {
            let left = free_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            waiting(left, &other.holder);
            sleep(WATCH_EVERY.min(left)).await;
            let numbers = records.list().await.map_err(MetaError::from)?;
            if numbers.last().is_some_and(|last| *last > snapshot.number) {
                return Err(held());
            }
        }
    }

    /// Whether this process may change the store now.
    ///
    /// # Errors
    /// When it is not the owner, or not sure to be.
    pub fn check_owner(&self) -> Result<(), NotOwner> {
        self.store.fence().check()
    }
}

impl Ownership {
    /// Renews until `stop`, then says that it ended in order; or returns who deposed it. A store
    /// that is away is asked again and again; meanwhile nothing is changed in it.
    ///
    /// # Errors
    /// [`OwnerError::Held`]: another broker owns the store.
    pub async fn keep(mut self, stop: CancellationToken) -> Result<(), OwnerError> {
        let (mut pause, mut failures) = (RENEW_EVERY, 0_u32);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
            pause = match self.renew().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(failures, "the ownership of the store is renewed again");
                    }
                    failures = 0;
                    RENEW_EVERY
                }
                Err(error @ (OwnerError::Held { .. } | OwnerError::Unreadable { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    // Once for each time that the store is away: it is tried every few seconds.
                    if failures == 0 {
                        tracing::warn!(%error, "the ownership of the store was not renewed and is tried again");
                    }
                    failures = failures.saturating_add(1);
                    RETRY
                }
            };
        }
        self.release().await
    }

    /// Renews once, for somebody who was busy with other things.
    ///
    /// # Errors
    /// [`OwnerError::Held`] when another broker took over meanwhile.
    pub async fn renew_now(&mut self) -> Result<(), OwnerError> {
        self.renew().await
    }

    /// Says that it ended in order: another need not wait. Nothing is changed in the store after.
    ///
    /// # Errors
    /// When the record cannot be written: another has to wait then.
    pub async fn release(mut self) -> Result<(), OwnerError> {
        self.record.released = true;
        self.renew().await
    }

    /// Writes the next record.
    async fn renew(&mut self) -> Result<(), OwnerError> {
        for _ in 0..TRIES {
            let (sent, sent_ms) = (Instant::now(), self.tiering.clock.now_ms());
            let next = self.number + 1;
            let records = self.tiering.numbered(OWNER);
            let object = records.name(next).to_string();
            let Some(payload) = self.record.encode() else {
                return Err(OwnerError::Unreadable { object });
            };
            let created =
                records.create(New { number: next, written_ms: sent_ms, payload }).await?;
            self.number = next;
            let found = match created {
                Created::Ours => {
                    self.tiering.store.fence().renewed(sent, sent_ms, &self.tiering.clock);
                    self.remove_old(next).await;
                    return Ok(());
                }
                Created::Taken(found) => found,
            };
            match found.as_ref().and_then(Record::decode) {
                // A write of ours that was given up and landed all the same: when is not known.
                Some(record) if record.run == self.record.run => self.kept.push(next),
                Some(record) => {
                    self.tiering.store.fence().depose(record.holder.clone());
                    return Err(OwnerError::Held { holder: record.holder, object });
                }
                None => {
                    self.tiering.store.fence().depose("a record that does not read".into());
                    return Err(OwnerError::Unreadable { object });
                }
            }
        }
        Err(MetaError::Contended(OWNER.name()).into())
    }

    async fn remove_old(&mut self, newest: u64) {
        self.kept.push(newest);
        let old = self.kept.len().saturating_sub(KEPT);
        if old == 0 {
            return;
        }
        match self.tiering.numbered(OWNER).remove(&self.kept[..old]).await {
            Ok(()) => drop(self.kept.drain(..old)),
            Err(error) => tracing::debug!(%error, "old owner records stay for now"),
        }
    }
}
