//! The log against a model: random actions on a real folder and on a plain list of batches, with
//! crashes at every named edge and between actions. Three kinds of end are injected:
//!
//! - a crash: the files as they are at the edge, copied there, are opened anew;
//! - a power cut: in addition, what was not synced is cut off, zeroed or missing at random, file by
//!   file, and a renaming may not have happened;
//! - a failing disk: the operation gets an error at the edge, and the log lives on.
//!
//! A round that fails prints its seed; `ICECORE_MODEL_SEED` repeats it, `ICECORE_MODEL_ROUNDS`
//! makes more of them.

mod disk_test;
mod oracle_test;

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use self::disk_test::{Disk, Trap, What, end_of_life};
use self::oracle_test::{Kept, Oracle, Verdict};
use super::*;
use crate::env::{Clock, Edge};
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::{Batch, BatchBuilder, BatchHeader, Codec, NewRecord, Records, TimestampType};

const ROUNDS: u64 = 40;
const STEPS: usize = 60;
const PRODUCERS: u64 = 4;
/// Record times begin here: years before the clock, which expires producers.
const OLD_MS: i64 = 1_200_000_000_000;
const NOW_MS: i64 = 1_900_000_000_000;
const EXPIRATION_MS: i64 = 86_400_000;

/// A small generator whose whole state is the seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct StandingClock;

impl Clock for StandingClock {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
}

struct Round {
    dice: Dice,
    disk: Disk,
    trap: Arc<Trap>,
    log: Option<Arc<Log>>,
    oracle: Oracle,
    epoch: LeaderEpoch,
    config: LogConfig,
    /// What the checkpoint files of the log folder say.
    recovery_point: Offset,
    log_start: Offset,
    next_tag: u64,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let config = LogConfig {
            segment_bytes: 600 + dice.roll(3000),
            segment_ms: i64::MAX,
            index_bytes: 48 + usize::try_from(dice.roll(400)).expect("small"),
            index_interval_bytes: usize::try_from(dice.roll(400)).expect("small"),
            timestamp_type: TimestampType::CreateTime,
        };
        let mut round = Self {
            dice,
            disk: Disk::new(),
            trap: Arc::new(Trap::default()),
            log: None,
            oracle: Oracle::default(),
            epoch: LeaderEpoch::ZERO,
            config,
            recovery_point: Offset::ZERO,
            log_start: Offset::ZERO,
            next_tag: 0,
        };
        round.open(false);
        round
    }

    fn log(&self) -> Arc<Log> {
        self.log.clone().expect("the log is open")
    }

    fn open(&mut self, clean: bool) {
        let at = OpenAt {
            recovery_point: self.recovery_point,
            log_start: self.log_start,
            empty_start: Offset::ZERO,
            clean,
        };
        self.trap.disarm();
        let env =
            LogEnv { clock: Arc::new(StandingClock), edges: self.trap.clone(), ..LogEnv::real() };
        let opened = Log::open(self.disk.folder(), self.config, at, env);
        self.log = Some(Arc::new(opened.expect("what a crash left is mended").0));
        self.epoch = LeaderEpoch::new(self.epoch.get() + 1);
    }

    fn step(&mut self, fired: &mut HashSet<Edge>) {
        let what = match self.dice.roll(8) {
            0 => Some(What::Crash),
            1 => Some(What::PowerCut),
            2 => Some(What::DiskError),
            _ => None,
        };
        if let Some(what) = what {
            let copy = self.disk.next_folder();
            let after = self.dice.roll(4);
            self.trap.arm(what, after, self.disk.folder().to_owned(), copy);
        }
        let pending = self.act();
        let edge = self.trap.fired();
        fired.extend(edge);
        match (what, edge) {
            (Some(What::DiskError) | None, _) => self.trap.disarm(),
            // No edge came by: the end comes between two actions, now and then.
            (Some(_), None) if !self.dice.one_in(3) => self.trap.disarm(),
            (Some(what), edge) => self.die(what, edge.is_some(), &pending),
        }
        self.check_bounds();
        self.check_read();
        self.check_time();
    }

    /// One random action. Returns the batches of an append that its end may have kept or not.
    fn act(&mut self) -> Vec<Kept> {
        match self.dice.roll(20) {
            0..=10 => return self.append(),
            11 => drop(self.log().force_roll()),
            12 => drop(self.log().roll_if_due(NOW_MS)),
            13 | 14 => self.sync(),
            15 => self.advance(),
            16 => self.move_log_start(),
            17 => self.remove(),
            18 => self.log().expire_producers(EXPIRATION_MS),
            _ => self.reopen(),
        }
        Vec::new()
    }

    fn batch(&mut self, producer: Option<(u64, ProducerEpoch, Sequence)>) -> (Batch, Kept) {
        let codec = if self.dice.one_in(4) { Codec::Lz4 } else { Codec::None };
        let mut builder = BatchBuilder::new(codec);
        if let Some((id, epoch, sequence)) = producer {
            let id = ProducerId(i64::try_from(id).expect("small"));
            builder = builder.idempotent(id, epoch, sequence);
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        let mut timestamps = Vec::new();
        for _ in 0..=self.dice.roll(4) {
            let timestamp_ms = OLD_MS + i64::try_from(self.dice.roll(5000)).expect("small");
            let value = vec![b'v'; usize::try_from(self.dice.roll(150)).expect("small")];
            let value = [&tag.to_be_bytes()[..], &value].concat();
            builder.push(&NewRecord { timestamp_ms, value: Some(&value), ..NewRecord::default() });
            timestamps.push(timestamp_ms);
        }
        let batch = builder.build().expect("a batch");
        let kept = Kept { tag, base: Offset::ZERO, timestamps, producer, epoch: self.epoch };
        (batch, kept)
    }

    /// A batch of some producer or none: the next one, one sent again, or one after a hole.
    fn candidate(&mut self, ahead: &BTreeMap<u64, Sequence>) -> (Batch, Kept) {
        let id = self.dice.roll(PRODUCERS);
        if id == 0 {
            return self.batch(None);
        }
        let epoch = ProducerEpoch(0);
        let next = ahead.get(&id).copied().unwrap_or_else(|| self.oracle.next_sequence(id));
        let sequence = if self.dice.one_in(12) { next.advance(3) } else { next };
        self.batch(Some((id, epoch, sequence)))
    }

    fn append(&mut self) -> Vec<Kept> {
        let (mut batches, mut wanted) = (Vec::new(), Vec::new());
        let mut ahead = BTreeMap::new();
        for _ in 0..=self.dice.roll(3) {
            let again = self.dice.roll(5);
            let (batch, kept) = match again {
                0 if !self.oracle.sent.is_empty() => {
                    let latest = self.oracle.sent.len();
                    let back = usize::try_from(self.dice.roll(8)).expect("small").min(latest - 1);
                    self.oracle.sent[latest - 1 - back].clone()
                }
                1 if !batches.is_empty() => (
                    Batch::clone(batches.last().expect("one")),
                    Kept::clone(wanted.last().expect("one")),
                ),
                _ => self.candidate(&ahead),
            };
            if let Some((id, _, sequence)) = kept.producer
                && sequence == *ahead.entry(id).or_insert_with(|| self.oracle.next_sequence(id))
            {
                let next = sequence.advance(i32::try_from(kept.timestamps.len()).expect("small"));
                ahead.insert(id, next);
            }
            batches.push(batch);
            wanted.push(kept);
        }
        let results = self.log().append(&batches, self.epoch, NOW_MS);
        assert_eq!(results.len(), batches.len(), "one answer for each");
        if self.trap.is_deadly() {
            return wanted.iter().map(|kept| Kept { epoch: self.epoch, ..kept.clone() }).collect();
        }
        for ((batch, kept), result) in batches.into_iter().zip(wanted).zip(results) {
            let kept = Kept { epoch: self.epoch, ..kept };
            self.judge(batch, kept, result);
        }
        Vec::new()
    }

    fn judge(&mut self, batch: Batch, kept: Kept, result: Result<Appended, AppendError>) {
        let verdict = self.oracle.judge(&kept);
        match (&verdict, result) {
            (_, Err(AppendError::Write(_))) => {
                assert!(self.trap.fired().is_some(), "only a disk that fails is an error");
            }
            (Verdict::Append, Ok(appended)) => {
                assert!(!appended.duplicate, "{kept:?} is new");
                assert_eq!(appended.base_offset, self.oracle.end(), "{kept:?}");
                self.oracle.append(kept.clone());
                self.oracle.sent.push((batch, kept));
            }
            (Verdict::Duplicate { base }, Ok(appended)) => {
                assert!(appended.duplicate, "{kept:?} is there already");
                assert_eq!(appended.base_offset, *base, "{kept:?}");
            }
            (Verdict::OutOfOrder, Err(AppendError::Producer(ProducerError::OutOfOrder { .. }))) => {
            }
            // It was refused before the write of the batch that it follows failed.
            (_, Err(AppendError::Producer(ProducerError::OutOfOrder { .. })))
                if self.trap.fired().is_some() => {}
            (verdict, result) => panic!("{kept:?} is {verdict:?}, the log says {result:?}"),
        }
    }

    fn sync(&mut self) {
        if let Ok(end) = self.log().sync() {
            assert_eq!(end, self.oracle.end());
            self.oracle.synced = end;
        }
    }

    fn advance(&mut self) {
        let before = self.log().recovery_point();
        let advanced = self.log().advance_recovery_point();
        self.oracle.synced = self.oracle.synced.max(self.log().flushed());
        if let Ok(point) = advanced {
            let log = self.log();
            self.disk.note_synced(&log, before, point);
            // The checkpoint file may lag behind: it is written after the logs of all partitions.
            if !self.trap.is_deadly() && !self.dice.one_in(4) {
                self.recovery_point = point;
            }
        }
    }

    /// Up to the end of the log, synced or not.
    fn move_log_start(&mut self) {
        let (from, to) = (self.oracle.log_start.get(), self.log().log_end().get());
        let far = u64::try_from((to - from).max(0)).expect("positive") / 2 + 1;
        let to = (from + i64::try_from(self.dice.roll(far)).expect("small")).min(to.max(from));
        let start = self.log().move_log_start(Offset::new(to)).expect("no edge lies within");
        assert_eq!(start.get(), to);
        self.oracle.log_start = start;
        self.oracle.synced = self.oracle.synced.max(self.log().flushed());
        if !self.trap.is_deadly() {
            self.log_start = start;
        }
    }

    fn remove(&mut self) {
        let sealed = self.log().sealed();
        let synced = sealed.iter().filter(|sealed| sealed.end() <= self.log().flushed()).count();
        if synced == 0 {
            return;
        }
        let last = usize::try_from(self.dice.roll(synced as u64)).expect("small");
        let until = sealed[last].end();
        self.oracle.freed = self.oracle.freed.max(until);
        let before = self.log().recovery_point();
        let removed = self.log().remove_until(until);
        if self.trap.fired().is_none() {
            removed.expect("removed");
            self.oracle.local_start = until;
        } else if !self.trap.is_deadly() {
            self.oracle.local_start = self.log().local_log_start().min(until);
        }
        self.oracle.synced = self.oracle.synced.max(self.log().flushed());
        let point = self.log().recovery_point();
        if point > before {
            let log = self.log();
            self.disk.note_synced(&log, before, point);
        }
    }

    /// Ends in order and begins again.
    fn reopen(&mut self) {
        let before = self.log().recovery_point();
        let closed = self.log().close();
        self.oracle.synced = self.oracle.synced.max(self.log().flushed());
        let (point, log) = (self.log().recovery_point(), self.log());
        if closed.is_ok() || point > before {
            self.disk.note_synced(&log, before, point);
        }
        drop(log);
        if self.trap.is_deadly() || closed.is_err() {
            return;
        }
        (self.recovery_point, self.log_start) = (point, self.oracle.log_start);
        self.log = None;
        self.open(true);
        self.check_all();
    }

    /// The process or the machine ends, at an edge or now; then it begins again.
    fn die(&mut self, what: What, at_edge: bool, pending: &[Kept]) {
        self.log = None;
        self.disk.end(at_edge);
        if what == What::PowerCut {
            let edge = self.trap.fired().filter(|_| at_edge);
            end_of_life(&self.disk, &mut self.dice, self.oracle.synced, edge);
        }
        self.open(false);
        let surely = match what {
            What::PowerCut => self.oracle.synced,
            _ => self.oracle.end(),
        };
        let (log_end, local) = (self.log().log_end(), self.log().local_log_start());
        assert!(log_end >= surely, "{log_end} of {surely} is there after a {what:?}");
        let freed = self.oracle.freed.max(self.log_start);
        assert!(local <= freed, "{local} was not freed, {freed} was, before a {what:?}");
        self.oracle.survive(log_end, pending);
        self.oracle.log_start = self.log_start;
        self.oracle.local_start = local;
        let log = self.log();
        self.disk.reopened(&log, self.recovery_point);
        self.check_all();
    }

    fn check_bounds(&self) {
        let (log, oracle) = (self.log(), &self.oracle);
        assert_eq!(log.log_end(), oracle.end());
        assert_eq!(log.log_start(), oracle.log_start);
        assert_eq!(log.local_log_start(), oracle.local_start.max(oracle.log_start));
        assert!(log.local_log_start() <= log.log_end() && log.recovery_point() <= log.log_end());
        let sealed = log.sealed();
        assert!(sealed.windows(2).all(|pair| pair[0].end() == pair[1].base()), "no gap");
        if let Some(last) = sealed.last() {
            assert_eq!(last.end(), log.active_extent().0, "the active segment is next");
        }
    }

    /// Reads from a random offset: the first batch holds it, and what follows is next.
    fn check_read(&mut self) {
        let (start, end) = (self.log().local_log_start().get(), self.log().log_end().get());
        let span = u64::try_from(end - start).expect("start <= end");
        let from = Offset::new(start + i64::try_from(self.dice.roll(span + 1)).expect("small"));
        let most = usize::try_from(self.dice.roll(2000)).expect("small");
        let read = self.log().read(from, most, Offset::new(end), true).expect("readable");
        let Some(slice) = read else { return assert_eq!(from.get(), end) };
        let found = batches_of(&slice);
        assert_eq!(found[..], *self.oracle.from(from, found.len()), "read from {from}");
    }

    fn check_time(&mut self) {
        let wanted = OLD_MS + i64::try_from(self.dice.roll(5200)).expect("small");
        let found = self.log().offset_for_timestamp(wanted).expect("readable");
        let expected = self.oracle.find_time(wanted, self.log().local_log_start());
        assert_eq!(found.map(|found| (found.offset, found.timestamp_ms)), expected, "at {wanted}");
    }

    /// Everything is there once and in order, indexes tell of it, and duplicates are duplicates.
    fn check_all(&mut self) {
        self.check_bounds();
        let (mut next, end) = (self.log().local_log_start(), self.log().log_end());
        while let Some(slice) = self.log().read(next, 1 << 20, end, true).expect("readable") {
            let found = batches_of(&slice);
            assert_eq!(found[..], *self.oracle.from(next, found.len()), "read from {next}");
            next = found.last().expect("a batch").end();
        }
        assert_eq!(next, end);
        for offset in self.log().local_log_start().get()..end.get() {
            let offset = Offset::new(offset);
            let read = self.log().read(offset, 1, end, true).expect("readable").expect("records");
            let found = batches_of(&read);
            assert_eq!(found[..], *self.oracle.from(offset, found.len()), "read from {offset}");
            assert_eq!(self.log().epoch_at(offset), Some(found[0].epoch), "epoch of {offset}");
        }
        for sealed in self.log().sealed() {
            let (offsets, times) = sealed.index_bytes().expect("indexes");
            assert!(offsets.len() % OFFSET_ENTRY_LEN == 0 && times.len() % TIME_ENTRY_LEN == 0);
            let largest = self.oracle.largest_time(sealed.base(), sealed.end());
            assert_eq!(sealed.max_timestamp_ms(), largest, "segment {}", sealed.base());
        }
        for time in (0..5200).step_by(97) {
            let found = self.log().offset_for_timestamp(OLD_MS + time).expect("readable");
            let expected = self.oracle.find_time(OLD_MS + time, self.log().local_log_start());
            assert_eq!(found.map(|found| (found.offset, found.timestamp_ms)), expected);
        }
        self.check_duplicates();
    }

    fn check_duplicates(&mut self) {
        for id in 1..PRODUCERS {
            let Some(base) = self.oracle.last_of(id) else { continue };
            let sent = self.oracle.sent.iter().rev().find(|(_, kept)| {
                kept.producer.is_some_and(|(producer, ..)| producer == id)
                    && self.oracle.is_at(kept.tag, base)
            });
            let Some((batch, kept)) = sent.cloned() else { continue };
            let result = self.log().append(&[batch], self.epoch, NOW_MS);
            let appended = result[0].as_ref().expect("a duplicate is no error");
            assert!(appended.duplicate && appended.base_offset == base, "{kept:?} at {base}");
        }
    }
}

/// The batches of a range of the log, as the model keeps them.
fn batches_of(slice: &LogSlice) -> Vec<Kept> {
    let mut bytes = vec![0; slice.len()];
    slice.slice.file.read_exact_at(&mut bytes, slice.slice.position).expect("bytes");
    let (mut rest, mut found) = (Bytes::from(bytes), Vec::new());
    while !rest.is_empty() {
        let header = BatchHeader::read(rest.first_chunk().expect("a whole header"));
        let batch = rest.split_to(usize::try_from(header.batch_len()).expect("a length"));
        let records = Records::of_batch(&batch, 1 << 20).expect("a batch");
        let records: Vec<_> = records.map(|record| record.expect("a record")).collect();
        let value = records[0].value.clone().expect("a value");
        let producer = header.is_idempotent().then(|| {
            let id = u64::try_from(header.producer_id.0).expect("small");
            (id, header.producer_epoch, header.base_sequence)
        });
        found.push(Kept {
            tag: u64::from_be_bytes(*value.first_chunk().expect("a tag")),
            base: header.base_offset,
            timestamps: records.iter().map(|record| record.timestamp_ms).collect(),
            producer,
            epoch: header.leader_epoch,
        });
    }
    found
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn play(seed: u64, fired: &mut HashSet<Edge>) {
    let mut round = Round::new(seed);
    (0..STEPS).for_each(|_| round.step(fired));
    round.check_all();
}

#[test]
fn the_log_does_what_the_model_does_through_crashes_power_cuts_and_disk_errors() {
    let mut fired = HashSet::new();
    if let Some(seed) = number("ICECORE_MODEL_SEED") {
        return play(seed, &mut fired);
    }
    for seed in 0..number("ICECORE_MODEL_ROUNDS").unwrap_or(ROUNDS) {
        let played = catch_unwind(AssertUnwindSafe(|| play(seed, &mut fired)));
        assert!(played.is_ok(), "repeat this round with ICECORE_MODEL_SEED={seed}");
    }
    let missed: Vec<_> = Edge::ALL.iter().filter(|edge| !fired.contains(edge)).collect();
    assert!(missed.is_empty(), "nothing died at {missed:?}");
}
