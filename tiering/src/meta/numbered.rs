//! Objects of one kind, each written once under a number that none had.
//!
//! A create that is answered "exists", or not at all, may have been our own write: the object is
//! read and its nonce compared before anything is believed.
//!
//! A list can come back empty or short. As long as nothing was removed that does no harm: whoever
//! counts from the first number meets the ones that are there. Before the first removal an anchor is
//! written, number 0, which is never removed: a list without it, or with nothing beside it, is not
//! believed. Numbers that are kept follow on each other, so that the ones which a list lacks at its
//! end are found by name.

use bytes::Bytes;
use object_store::path::Path;

use super::envelope::{Envelope, EnvelopeError, Nonce};
use super::{MetaError, MetaKind, MetaSnapshot};
use crate::key::Layout;
use crate::store::{Store, StoreCall, StoreError, Verify};

/// An object of this size takes half a minute over a slow line, and a broker's memory.
pub(crate) const META_BYTES_MAX: u64 = 256 << 20;
const SUFFIX: &str = ".meta";
/// The number of the anchor.
const ANCHOR: u64 = 0;
/// The first number of what is written.
const FIRST: u64 = 1;

/// The objects of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Numbered<'a> {
    pub(crate) store: &'a Store,
    pub(crate) layout: &'a Layout,
    pub(crate) kind: MetaKind,
}

/// How a create went.
#[derive(Debug)]
pub(crate) enum Created {
    /// The object is there and is ours.
    Ours,
    /// Somebody else's has the number; `None` when it does not read as right.
    Taken(Option<MetaSnapshot>),
}

/// What a new object holds.
pub(crate) struct New {
    pub(crate) number: u64,
    pub(crate) written_ms: i64,
    pub(crate) payload: Bytes,
}

impl Numbered<'_> {
    /// The name of the object with that number.
    pub(crate) fn name(&self, number: u64) -> Path {
        self.layout.meta(&format!("{}/{number:020}{SUFFIX}", self.kind.name()))
    }

    /// The numbers that there are, ascending.
    ///
    /// # Errors
    /// When the store fails, or its list cannot be true.
    pub(crate) async fn list(&self) -> Result<Vec<u64>, StoreError> {
        let mut numbers = Vec::new();
        let folder = self.layout.meta(self.kind.name());
        let listed = self.store.list(&folder, |object| {
            numbers.extend(object.location.filename().and_then(number_in));
        });
        match listed.await {
            Err(StoreError::NotFound { .. }) => {}
            listed => listed?,
        }
        numbers.sort_unstable();
        let anchored = numbers.first() == Some(&ANCHOR);
        if anchored {
            numbers.remove(0);
        }
        let lies = match (anchored, numbers.first()) {
            (true, first) => first.is_none(),
            (false, Some(&FIRST)) => false,
            (false, _) => self.is_there(ANCHOR).await?,
        };
        if lies {
            let (call, object) = (StoreCall::List, folder.to_string());
            let detail = "its list lacks objects that are there".into();
            return Err(StoreError::Unavailable { call, object, detail });
        }
        // A list that lags lacks the newest ones: an old one would count in their place.
        let mut next = numbers.last().map_or(FIRST, |last| last + 1);
        while self.is_there(next).await? {
            numbers.push(next);
            next += 1;
        }
        Ok(numbers)
    }

    async fn is_there(&self, number: u64) -> Result<bool, StoreError> {
        match self.store.head(&self.name(number)).await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            found => found.map(|_| true),
        }
    }

    async fn anchor(&self) -> Result<(), StoreError> {
        if self.is_there(ANCHOR).await? {
            return Ok(());
        }
        let nonce: Nonce = *uuid::Uuid::new_v4().as_bytes();
        let anchor = Envelope { number: ANCHOR, written_ms: 0, nonce, payload: Bytes::new() };
        match self.store.create(&self.name(ANCHOR), anchor.encode(self.kind)).await {
            Err(StoreError::Exists { .. }) => Ok(()),
            created => created,
        }
    }

    /// Reads the object with that number.
    pub(crate) async fn read(&self, number: u64) -> Result<MetaSnapshot, MetaError> {
        let read = self.read_envelope(number).await?;
        Ok(MetaSnapshot { number, written_ms: read.written_ms, payload: read.payload })
    }

    async fn read_envelope(&self, number: u64) -> Result<Envelope, MetaError> {
        let name = self.name(number);
        let bytes = self.store.get_whole(&name, META_BYTES_MAX).await?;
        Envelope::decode(&bytes, self.kind.name(), number)
            .map_err(|reason| MetaError::Damaged { object: name.to_string(), reason })
    }

    /// Writes an object under a number that none must have, and verifies it as uploads are.
    pub(crate) async fn create(&self, new: New) -> Result<Created, MetaError> {
        let New { number, written_ms, payload } = new;
        let nonce: Nonce = *uuid::Uuid::new_v4().as_bytes();
        let bytes = Envelope { number, written_ms, nonce, payload }.encode(self.kind);
        if bytes.len() as u64 > META_BYTES_MAX {
            let (kind, bytes) = (self.kind.name(), bytes.len() as u64);
            return Err(MetaError::TooLarge { kind, bytes, max: META_BYTES_MAX });
        }
        let (name, length) = (self.name(number), bytes.len() as u64);
        let created = self.store.create(&name, bytes).await;
        if created.is_ok() && self.store.verify() == Verify::Size {
            let found = self.store.head(&name).await?.size;
            let wrong = crate::store::WrongBytes::Length { expected: length, received: found };
            return match found == length {
                true => Ok(Created::Ours),
                false => Err(StoreError::wrong_bytes(&name, wrong).into()),
            };
        }
        match self.read_envelope(number).await {
            Ok(found) if found.nonce == nonce => Ok(Created::Ours),
            Ok(found) => {
                let Envelope { number, written_ms, payload, .. } = found;
                Ok(Created::Taken(Some(MetaSnapshot { number, written_ms, payload })))
            }
            Err(MetaError::Damaged { .. }) if created.is_err() => Ok(Created::Taken(None)),
            // It did not land: what the create said is the reason.
            Err(unread) => Err(created.err().map_or(unread, MetaError::from)),
        }
    }

    /// Removes objects; one that is not there counts as removed.
    pub(crate) async fn remove(&self, numbers: &[u64]) -> Result<(), StoreError> {
        if numbers.contains(&FIRST) {
            self.anchor().await?;
        }
        self.store.delete(numbers.iter().map(|number| self.name(*number)).collect()).await
    }
}

/// What is wrong with an object below `meta/`; `None` when it reads right, and is what its name
/// says.
pub(crate) fn judge(name: &Path, bytes: &Bytes) -> Option<EnvelopeError> {
    let (Some(number), Some(kind)) =
        (name.filename().and_then(number_in), name.as_ref().rsplit('/').nth(1))
    else {
        return Some(EnvelopeError::OtherObject);
    };
    Envelope::decode(bytes, kind, number).err()
}

/// Whether an object below `meta/` is named as one of a kind.
pub(crate) fn is_numbered(name: &Path) -> bool {
    name.filename().and_then(number_in).is_some()
}

fn number_in(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_twenty_digits_are_a_number() {
        assert_eq!(number_in("00000000000000000042.meta"), Some(42));
        for other in ["42.meta", "00000000000000000042", ".00000000000000000042.meta.tmp.1"] {
            assert_eq!(number_in(other), None, "{other}");
        }
        assert_eq!(number_in("99999999999999999999.meta"), None, "more than the type holds");
        assert_eq!(number_in("+0000000000000000042.meta"), None);
    }
}
