//! Incremental fetch sessions (KIP-227): a consumer of many partitions names them once, and each
//! later request and reply carries only what changed.
//!
//! A session belongs to one consumer, which sends one request at a time; the epoch counts them, so
//! a request that was lost or sent twice is seen. The number of sessions is bounded, and so is
//! what one holds: the partitions that its requests named.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::TopicId;

/// The epoch of a request that opens a session.
pub(super) const EPOCH_INITIAL: i32 = 0;
/// The epoch of a request that wants none, and closes the one it names.
pub(super) const EPOCH_FINAL: i32 = -1;
/// A session that has been used within this time is not evicted for a new one (Kafka's
/// `min.incremental.fetch.session.eviction.ms`).
const EVICTION_IDLE_MS_MIN: i64 = 120_000;

/// How a request names a topic: by id from version 13 on (KIP-516), by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(TopicId),
}

/// What a consumer wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The topic.
    pub topic: TopicKey,
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch that the consumer knows, -1 for none.
    pub current_leader_epoch: i32,
    /// Where to read from.
    pub fetch_offset: i64,
    /// The epoch of the last record that the consumer holds, -1 for none.
    pub last_fetched_epoch: i32,
    /// Most bytes for this partition.
    pub max_bytes: i32,
}

impl Wanted {
    fn key(&self) -> (TopicKey, i32) {
        (self.topic.clone(), self.partition)
    }
}

/// What the last reply said of a partition; an incremental reply repeats it only when it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The high watermark.
    pub high_watermark: i64,
    /// The log start offset.
    pub log_start: i64,
}

/// Why a session request is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// The session was evicted, closed or never there.
    #[error("no fetch session with this id")]
    NotFound,
    /// Not the next epoch of this session.
    #[error("not the next epoch of this fetch session")]
    WrongEpoch,
    /// A session that names topics by id cannot turn to names, nor the reverse.
    #[error("a fetch session cannot change between topic names and topic ids")]
    TopicIdsMixed,
}

/// What a fetch request says of sessions and partitions.
#[derive(Clone, Debug)]
pub(crate) struct SessionRequest {
    /// The session, 0 for none.
    pub id: i32,
    /// The request's number within it.
    pub epoch: i32,
    /// Whether topics are named by id.
    pub by_id: bool,
    /// Partitions to add or change.
    pub wanted: Vec<Wanted>,
    /// Partitions to take out.
    pub forgotten: Vec<(TopicKey, i32)>,
}

/// The partitions of one request, and what it has to know to answer.
#[derive(Clone, Debug)]
pub(crate) struct SessionFetch {
    /// The session's id in the reply, 0 when there is none.
    pub id: i32,
    /// Whether the reply carries changes only.
    pub incremental: bool,
    /// Every partition to read, in the order in which they are due.
    pub wanted: Vec<Wanted>,
}

/// What a reply says of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// High watermark and log start in this reply.
    pub told: Told,
    /// Records, or an error, or anything else that must be sent whatever the last reply said.
    pub must_send: bool,
    /// Whether records are in it.
    pub has_records: bool,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    told: Option<Told>,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    used_ms: i64,
    /// Partitions in the order in which they are due; those that got records go to the end.
    due: BTreeMap<u64, Entry>,
    places: HashMap<(TopicKey, i32), u64>,
    next_place: u64,
}

impl Session {
    fn new(by_id: bool, now_ms: i64) -> Self {
        let (due, places) = (BTreeMap::new(), HashMap::new());
        Self { epoch: 1, by_id, used_ms: now_ms, due, places, next_place: 0 }
    }

    fn put(&mut self, wanted: Wanted) {
        let key = wanted.key();
        if let Some(entry) = self.places.get(&key).and_then(|place| self.due.get_mut(place)) {
            entry.wanted = wanted;
            return;
        }
        self.places.insert(key, self.next_place);
        self.due.insert(self.next_place, Entry { wanted, told: None });
        self.next_place += 1;
    }

    fn forget(&mut self, key: &(TopicKey, i32)) {
        if let Some(place) = self.places.remove(key) {
            self.due.remove(&place);
        }
    }

    fn put_last(&mut self, key: &(TopicKey, i32)) {
        let Some(place) = self.places.get_mut(key) else { return };
        if let Some(entry) = self.due.remove(place) {
            *place = self.next_place;
            self.due.insert(self.next_place, entry);
            self.next_place += 1;
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.due.values().map(|entry| entry.wanted.clone()).collect()
    }

    fn advance(&mut self, now_ms: i64) {
        self.used_ms = now_ms;
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
    }
}

/// All sessions of the broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: usize,
    sessions: Mutex<HashMap<i32, Session>>,
}

impl Sessions {
    /// Room for `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, sessions: Mutex::new(HashMap::new()) }
    }

    /// Takes a request in: opens, updates, closes or passes by a session, and tells which
    /// partitions to read.
    ///
    /// # Errors
    /// When the request names a session that is not there or is not its next.
    pub(crate) fn begin(
        &self,
        request: SessionRequest,
        now_ms: i64,
    ) -> Result<SessionFetch, SessionError> {
        let mut sessions = self.sessions.lock();
        if request.epoch == EPOCH_INITIAL || request.epoch == EPOCH_FINAL {
            sessions.remove(&request.id);
            let wanted = distinct(request.wanted);
            if request.epoch == EPOCH_FINAL || wanted.is_empty() {
                return Ok(SessionFetch { id: 0, incremental: false, wanted });
            }
            let id = self.open(&mut sessions, request.by_id, &wanted, now_ms);
            return Ok(SessionFetch { id, incremental: false, wanted });
        }
        let session = sessions.get_mut(&request.id).ok_or(SessionError::NotFound)?;
        if session.epoch != request.epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != request.by_id {
            return Err(SessionError::TopicIdsMixed);
        }
        request.wanted.into_iter().for_each(|wanted| session.put(wanted));
        request.forgotten.iter().for_each(|key| session.forget(key));
        session.advance(now_ms);
        if session.due.is_empty() {
            sessions.remove(&request.id);
            return Ok(SessionFetch { id: 0, incremental: false, wanted: Vec::new() });
        }
        Ok(SessionFetch { id: request.id, incremental: true, wanted: session.wanted() })
    }

    /// Opens a session where there is room; 0 where there is none.
    fn open(
        &self,
        sessions: &mut HashMap<i32, Session>,
        by_id: bool,
        wanted: &[Wanted],
        now_ms: i64,
    ) -> i32 {
        if sessions.len() >= self.slots && !evict_idle(sessions, now_ms) {
            return 0;
        }
        let id = loop {
            // Random, so that a client of an earlier run does not meet another's session.
            let bytes = uuid::Uuid::new_v4().into_bytes();
            let id = i32::from_be_bytes([bytes[0] & 0x7f, bytes[1], bytes[2], bytes[3]]);
            if id != 0 && !sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session::new(by_id, now_ms);
        wanted.iter().for_each(|wanted| session.put(wanted.clone()));
        sessions.insert(id, session);
        id
    }

    /// Notes what a reply says, and tells for each answer whether it has to be in the reply.
    /// `answers` go with `fetch.wanted`, one each.
    #[must_use]
    pub(crate) fn finish(&self, fetch: &SessionFetch, answers: &[Answer]) -> Vec<bool> {
        assert_eq!(fetch.wanted.len(), answers.len(), "one answer for each partition");
        let mut sessions = self.sessions.lock();
        let Some(session) = sessions.get_mut(&fetch.id) else {
            return answers.iter().map(|answer| !fetch.incremental || answer.must_send).collect();
        };
        let mut send = Vec::with_capacity(answers.len());
        for (wanted, answer) in fetch.wanted.iter().zip(answers) {
            let key = wanted.key();
            let place = session.places.get(&key).copied();
            let entry = place.and_then(|place| session.due.get_mut(&place));
            let changed = entry.as_ref().is_none_or(|entry| entry.told != Some(answer.told));
            let sent = !fetch.incremental || answer.must_send || changed;
            if let (true, Some(entry)) = (sent, entry) {
                entry.told = Some(answer.told);
            }
            if answer.has_records {
                session.put_last(&key);
            }
            send.push(sent);
        }
        send
    }
}

/// Each partition once: where it was first named, as it was last asked for (as in Kafka). Otherwise
/// a small request could have one partition read a hundred thousand times.
fn distinct(wanted: Vec<Wanted>) -> Vec<Wanted> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut places = HashMap::with_capacity(wanted.len());
    let mut kept: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let place = *places.entry(one.key()).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(earlier) => *earlier = one,
            None => kept.push(one),
        }
    }
    kept
}

/// Closes the session that was idle longest, if it was idle long enough.
fn evict_idle(sessions: &mut HashMap<i32, Session>, now_ms: i64) -> bool {
    let idlest = sessions.iter().min_by_key(|(_, session)| session.used_ms);
    let evicted =
        idlest.filter(|(_, s)| now_ms - s.used_ms >= EVICTION_IDLE_MS_MIN).map(|(id, _)| *id);
    evicted.is_some_and(|id| sessions.remove(&id).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partition: i32, fetch_offset: i64) -> Wanted {
        Wanted {
            topic: TopicKey::Name("t".into()),
            partition,
            current_leader_epoch: -1,
            fetch_offset,
            last_fetched_epoch: -1,
            max_bytes: 1024,
        }
    }

    fn request(id: i32, epoch: i32, wanted: Vec<Wanted>) -> SessionRequest {
        SessionRequest { id, epoch, by_id: false, wanted, forgotten: Vec::new() }
    }

    fn answer(high_watermark: i64, has_records: bool) -> Answer {
        Answer { told: Told { high_watermark, log_start: 0 }, must_send: has_records, has_records }
    }

    fn opened(sessions: &Sessions, partitions: i32) -> SessionFetch {
        let all = (0..partitions).map(|partition| wanted(partition, 0)).collect();
        sessions.begin(request(0, EPOCH_INITIAL, all), 0).expect("open")
    }

    #[test]
    fn an_incremental_reply_carries_only_what_changed() {
        let sessions = Sessions::new(10);
        let first = opened(&sessions, 3);
        assert!(!first.incremental && first.id != 0);
        assert_eq!(sessions.finish(&first, &[answer(5, false); 3]), [true; 3], "the first is full");
        let next = sessions.begin(request(first.id, 1, vec![]), 0).expect("next");
        assert_eq!(next.wanted.len(), 3);
        let answers = [answer(5, false), answer(6, false), answer(5, true)];
        assert_eq!(sessions.finish(&next, &answers), [false, true, true]);
    }

    #[test]
    fn a_partition_that_got_records_is_due_last() {
        let sessions = Sessions::new(10);
        let first = opened(&sessions, 3);
        let _ = sessions.finish(&first, &[answer(1, true), answer(1, false), answer(1, false)]);
        let next = sessions.begin(request(first.id, 1, vec![wanted(2, 9)]), 0).expect("next");
        let order: Vec<_> = next.wanted.iter().map(|w| (w.partition, w.fetch_offset)).collect();
        assert_eq!(order, [(1, 0), (2, 9), (0, 0)]);
    }

    #[test]
    fn a_request_that_is_not_the_next_is_refused_and_the_session_stays() {
        let sessions = Sessions::new(10);
        let id = opened(&sessions, 1).id;
        assert_eq!(
            sessions.begin(request(id, 2, vec![]), 0).unwrap_err(),
            SessionError::WrongEpoch
        );
        assert_eq!(
            sessions.begin(request(id + 1, 1, vec![]), 0).unwrap_err(),
            SessionError::NotFound
        );
        let mut by_id = request(id, 1, vec![]);
        by_id.by_id = true;
        assert_eq!(sessions.begin(by_id, 0).unwrap_err(), SessionError::TopicIdsMixed);
        assert!(sessions.begin(request(id, 1, vec![]), 0).is_ok());
    }

    #[test]
    fn a_session_closes_with_its_last_partition_or_by_the_final_epoch() {
        let sessions = Sessions::new(10);
        let id = opened(&sessions, 1).id;
        let mut last = request(id, 1, vec![]);
        last.forgotten = vec![(TopicKey::Name("t".into()), 0)];
        assert_eq!(sessions.begin(last, 0).expect("closes").id, 0);
        assert!(sessions.sessions.lock().is_empty());
        let id = opened(&sessions, 1).id;
        let full = sessions.begin(request(id, EPOCH_FINAL, vec![wanted(0, 0)]), 0).expect("final");
        assert_eq!((full.id, full.incremental, full.wanted.len()), (0, false, 1));
        assert!(sessions.sessions.lock().is_empty());
    }

    #[test]
    fn when_all_slots_are_busy_a_newcomer_is_served_without_a_session() {
        let sessions = Sessions::new(2);
        let ids = [opened(&sessions, 1).id, opened(&sessions, 1).id];
        assert_eq!(opened(&sessions, 1).id, 0);
        assert!(sessions.begin(request(ids[0], 1, vec![]), EVICTION_IDLE_MS_MIN).is_ok());
        let all = vec![wanted(0, 0)];
        let late =
            sessions.begin(request(0, EPOCH_INITIAL, all), EVICTION_IDLE_MS_MIN).expect("open");
        assert_ne!(late.id, 0, "the idle session made room");
        assert_eq!(
            sessions.begin(request(ids[1], 1, vec![]), 0).unwrap_err(),
            SessionError::NotFound
        );
    }

    #[test]
    fn the_epoch_wraps_to_one() {
        let mut session = Session::new(false, 0);
        session.epoch = i32::MAX;
        session.advance(0);
        assert_eq!(session.epoch, 1);
    }
}
