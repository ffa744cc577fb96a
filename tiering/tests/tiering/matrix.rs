//! Everything that a store can do badly, one line for each. Every line ends with: nothing lost,
//! nothing repeated, nothing wrong, uploads caught up; where calls failed, an error that says how,
//! and a counter that counted it.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    CollectOptions, CollectReport, CounterValues, Offset, Scope, Segment, StoreState, Tiering,
};
use tokio::time::Instant;

use crate::bad_store::{BadStore, Call, Fault, Pipe};
use crate::fixture::{Fixture, Made, bytes_of, key};

/// As the broker does it: tried again after a pause, as long as it takes.
const PAUSE: Duration = Duration::from_secs(2);
const TRIES_MAX: usize = 200;

/// A segment that lies in the store alone, and one that waits for its upload.
struct Scene {
    store: BadStore,
    fixture: Fixture,
    tiering: Arc<Tiering>,
    old: Made,
    new: Made,
    /// What failed on the way, in words.
    errors: Vec<String>,
}

impl Scene {
    async fn set() -> Self {
        let store = BadStore::new();
        let mut fixture = store.fixture();
        fixture.config.store.call_timeout = Duration::from_secs(7);
        fixture.config.read_ahead_bytes_max = 0;
        let tiering = fixture.open().await;
        let old = fixture.make(&key("t", 0), 0, 9, 600_000);
        let segment = old.upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
        let new = fixture.make(&key("t", 0), 10, 19, 6_000_000);
        tiering.record_sealed(&new.segment).await.unwrap();
        Self { store, fixture, tiering, old, new, errors: Vec::new() }
    }

    /// Tries again and again until it works.
    async fn until<T, E: std::fmt::Display>(
        &mut self,
        work: impl AsyncFn(&Tiering) -> Result<T, E>,
    ) -> T {
        let tiering = self.tiering.clone();
        for _ in 0..TRIES_MAX {
            match work(&tiering).await {
                Ok(done) => return done,
                Err(error) => self.errors.push(error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("it did not recover: {:?}", self.errors)
    }

    async fn upload(&mut self) {
        let (segment, parts) = (self.new.segment.clone(), self.new.parts.clone());
        self.until(async |tiering| tiering.offload(&segment, parts.clone()).await).await;
    }

    /// Reads a log the way a consumer does. Any byte that comes is right.
    async fn read(&mut self, base: i64, log: &[u8]) {
        let partition = self.old.segment.partition.clone();
        let found = self.tiering.find(&partition, Offset::new(base)).await.unwrap();
        let segment: Segment = found.expect("the segment is live");
        let mut at = 0;
        while at < segment.size {
            let slices =
                self.until(async |tiering| tiering.read(&segment, at..segment.size).await).await;
            let bytes = bytes_of(&slices);
            let end = at as usize + bytes.len();
            assert!(bytes == log[at as usize..end], "other bytes at {at}");
            at += bytes.len() as u64;
        }
    }

    async fn collect(&mut self) -> CollectReport {
        self.fixture.clock.advance(60_000);
        let min_age = Duration::ZERO;
        let options = CollectOptions { min_age, dry_run: false, scope: Scope::All };
        let report = self.until(async |tiering| tiering.collect_garbage(&options).await).await;
        assert_eq!((report.lost.len(), report.returned.len()), (0, 0), "{report:?}");
        assert_eq!(report.unclaimed.count, 0, "{report:?}");
        report
    }

    /// Everything that a broker does with a store, each part until it works.
    async fn live(&mut self) {
        let (old, new) = (self.old.log.clone(), self.new.log.clone());
        self.upload().await;
        self.read(0, &old).await;
        self.collect().await;
        self.read(10, &new).await;
    }

    /// All faults were met, and everything is as if there had been none.
    async fn ends_well(&mut self) {
        assert_eq!(self.store.unmet(), 0, "every fault is met");
        self.collect().await;
        let names = self.store.names().await;
        let objects = names.iter().filter(|name| name.contains("/topics/")).count();
        assert_eq!((objects, names.len()), (4, 5), "two segments and the marker: {names:?}");
        let partition = self.old.segment.partition.clone();
        let bounds = self.tiering.bounds(&partition).await.unwrap();
        assert_eq!((bounds.segments, bounds.end_offset), (2, Some(Offset::new(19))));
        assert_eq!(self.tiering.store_state(), StoreState::Answering);
        assert_eq!(self.tiering.counters().uploads, 2, "each segment once");
        let (old, new) = (self.old.log.clone(), self.new.log.clone());
        self.read(0, &old).await;
        self.read(10, &new).await;
    }
}

/// The faults, words of an error, and what counted it.
async fn is_outlived(
    faults: &[(Call, &'static str, Fault, usize)],
    says: &str,
    counted: fn(&CounterValues) -> u64,
) {
    let mut scene = Scene::set().await;
    let before = counted(&scene.tiering.counters());
    for (call, name, fault, times) in faults {
        scene.store.order(*call, name, *fault, *times);
    }
    scene.live().await;
    scene.ends_well().await;
    let told = scene.errors.iter().filter(|error| error.contains(says)).count();
    assert!(told > 0, "no error says {says:?}: {:?}", scene.errors);
    assert!(counted(&scene.tiering.counters()) > before, "not counted: {says}");
}

#[tokio::test(start_paused = true)]
async fn answers_of_500_are_outlived() {
    let fault = Fault::Status(500);
    let calls = [Call::Put, Call::Multipart, Call::Part, Call::Complete, Call::Get, Call::List];
    let faults = calls.map(|call| (call, "", fault, 2));
    is_outlived(&faults, "status code: 500", |counters| counters.busy).await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_503_opens_the_circuit_and_is_outlived() {
    let mut scene = Scene::set().await;
    for call in [Call::Put, Call::Delete, Call::Get, Call::List] {
        scene.store.order(call, "", Fault::Unavailable, 12);
    }
    scene.live().await;
    scene.ends_well().await;
    let counters = scene.tiering.counters();
    assert!(counters.left_alone >= 1, "{counters:?}");
    assert!(counters.busy >= 48 && counters.held_back > 0, "{counters:?}");
    let told = |words| scene.errors.iter().any(|error| error.contains(words));
    assert!(told("status code: 503") && told("left alone for now"), "{:?}", scene.errors);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expired_for_a_while_are_outlived() {
    let calls = [Call::Put, Call::Part, Call::Complete, Call::Get];
    let faults = calls.map(|call| (call, "topics", Fault::Denied, 3));
    is_outlived(&faults, "check the credentials", |counters| counters.denied).await;
    let faults = [(Call::List, "topics", Fault::Denied, 3)];
    is_outlived(&faults, "not allowed to list", |counters| counters.denied).await;
}

#[tokio::test(start_paused = true)]
async fn calls_without_an_answer_are_outlived() {
    let calls = [Call::Put, Call::Part, Call::Complete, Call::Get, Call::List];
    let faults = calls.map(|call| (call, "", Fault::Hang, 2));
    is_outlived(&faults, "within 7 s", |counters| counters.timeouts).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_stall_open_the_circuit_and_are_outlived() {
    let mut scene = Scene::set().await;
    // One after another, each begun well: that an answer began proves nothing.
    scene.store.order(Call::Get, ".log", Fault::Stall, 8);
    scene.store.order(Call::Get, ".index", Fault::Stall, 2);
    let old = scene.old.log.clone();
    scene.read(0, &old).await;
    assert_eq!(scene.store.unmet(), 0, "every stall was met before a byte was given");
    let counters = scene.tiering.counters();
    assert_eq!((counters.timeouts, counters.left_alone), (10, 1), "{counters:?}");
    assert!(counters.held_back > 0, "{counters:?}");
    let told = |words| scene.errors.iter().any(|error| error.contains(words));
    assert!(told("within 7 s") && told("left alone for now"), "{:?}", scene.errors);
    scene.live().await;
    scene.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_is_outlived() {
    let faults =
        [Call::Put, Call::Part, Call::Complete].map(|call| (call, "", Fault::OutOfSpace, 3));
    is_outlived(&faults, "no storage space", |counters| counters.busy).await;
    let faults = [(Call::Put, "", Fault::Status(507), 3)];
    is_outlived(&faults, "status code: 507", |counters| counters.busy).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_cut_within_a_body_are_outlived() {
    let faults = [(Call::Get, ".log", Fault::Cut, 4), (Call::Get, ".index", Fault::Cut, 2)];
    is_outlived(&faults, "unexpected end of file", |counters| counters.busy).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_short_are_outlived() {
    let faults = [(Call::Get, ".log", Fault::ShortBody, 7)];
    is_outlived(&faults, "were asked for", |counters| counters.wrong_bytes).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_wrong_by_one_byte_are_outlived() {
    let faults =
        [(Call::Get, ".log", Fault::WrongByte, 7), (Call::Get, ".index", Fault::WrongByte, 3)];
    is_outlived(&faults, "wrong bytes", |counters| counters.wrong_bytes).await;
}

#[tokio::test(start_paused = true)]
async fn successes_that_answer_as_failures_are_outlived() {
    let calls = [Call::Put, Call::Multipart, Call::Part, Call::Complete];
    let faults = calls.map(|call| (call, "", Fault::FailAfterLanding, 1));
    is_outlived(&faults, "status code: 503", |counters| counters.busy).await;
}

#[tokio::test(start_paused = true)]
async fn failures_that_answer_as_successes_are_outlived() {
    let faults =
        [(Call::Put, ".index", Fault::Pretend, 1), (Call::Complete, ".log", Fault::Pretend, 1)];
    is_outlived(&faults, "no object", |counters| counters.upload_errors).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_only_pretends_leaves_what_the_next_collection_removes() {
    let mut scene = Scene::set().await;
    // The first attempt leaves an index; the second one deletes it, it believes.
    scene.store.order(Call::Multipart, ".log", Fault::Unavailable, 1);
    scene.store.order(Call::Delete, "", Fault::Pretend, 2);
    scene.upload().await;
    let report = scene.collect().await;
    assert_eq!((report.orphans.count, report.orphans.names.len()), (1, 1), "{report:?}");
    assert_eq!(scene.tiering.counters().garbage_removed, 1);
    scene.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn latency_delays_and_fails_nothing() {
    let mut scene = Scene::set().await;
    for call in [Call::Put, Call::Multipart, Call::Part, Call::Complete, Call::Get, Call::List] {
        scene.store.order(call, "", Fault::Slow(Duration::from_secs(6)), 1);
    }
    let began = Instant::now();
    scene.live().await;
    assert!(began.elapsed() >= Duration::from_secs(36), "{:?}", began.elapsed());
    scene.ends_well().await;
    assert_eq!(scene.errors, [] as [&str; 0]);
    // All but the parts and their completion, which have more time.
    assert!(scene.tiering.counters().slow >= 4, "{:?}", scene.tiering.counters());
}

#[tokio::test(start_paused = true)]
async fn narrow_pipes_delay_and_fail_nothing() {
    const KIB: u32 = 1 << 10;
    // For each stream, and for all together; the second is what two streams of the first share.
    for (each, all) in [(600 * KIB, 8192 * KIB), (8192 * KIB, 600 * KIB)] {
        let mut scene = Scene::set().await;
        scene.store.through(Pipe::new(each, all));
        let began = Instant::now();
        scene.live().await;
        assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
        scene.ends_well().await;
        assert_eq!(scene.errors, [] as [&str; 0]);
        assert!(scene.tiering.counters().slow > 0, "{:?}", scene.tiering.counters());
    }
}
