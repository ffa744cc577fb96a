//! What a topic's class of the read cache does for those who read it, and for those who read others.

use std::sync::Arc;

use icecore_tiering::{CacheClass, Segment, Tiering};

use crate::bad_store::BadStore;
use crate::fixture::{Fixture, Made, key, read_log};

const CHUNK: u64 = 256 << 10;
/// What the cache holds.
const CHUNKS: u64 = 64;
/// More than fits beside anything else.
const LONG: usize = 32 << 20;

/// A topic of one segment, sealed and uploaded.
struct Topic {
    made: Made,
    segment: Segment,
}

impl Topic {
    async fn new(fixture: &Fixture, tiering: &Tiering, name: &str, bytes: usize) -> Self {
        let made = fixture.make(&key(name, 0), 0, 9, bytes);
        let segment = made.upload(tiering).await;
        Self { made, segment }
    }

    /// Reads all of it, in sequence. Gives how many requests to the store that took.
    async fn read(&self, tiering: &Tiering) -> u64 {
        let before = tiering.counters().log_gets;
        assert!(read_log(tiering, &self.segment).await == self.made.log);
        tiering.counters().log_gets - before
    }

    fn class(&self, tiering: &Tiering, class: CacheClass) {
        tiering.set_cache_class(self.segment.partition.topic_id, class);
    }
}

/// A store without reading ahead, so that what is in the cache is what was read.
async fn opened(store: &BadStore) -> (Fixture, Arc<Tiering>) {
    let mut fixture = store.fixture();
    fixture.config.cache_bytes = CHUNKS * CHUNK;
    fixture.config.read_ahead_bytes_max = 0;
    let tiering = fixture.open().await;
    (fixture, tiering)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_topic_to_pass_leaves_what_was_read_of_others() {
    for (class, leaves) in [(CacheClass::Pass, true), (CacheClass::Normal, false)] {
        let store = BadStore::new();
        let (fixture, tiering) = opened(&store).await;
        let usual = Topic::new(&fixture, &tiering, "usual", 6 << 20).await;
        let long = Topic::new(&fixture, &tiering, "long", LONG).await;
        long.class(&tiering, class);
        assert!(usual.read(&tiering).await > 0);
        assert!(long.read(&tiering).await > 0);
        assert_eq!(usual.read(&tiering).await == 0, leaves, "{class:?}");
        assert!(long.read(&tiering).await > 0, "it does not fit in any case");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_to_keep_stays_beside_replays_and_across_a_restart_until_it_is_no_more() {
    let store = BadStore::new();
    let (fixture, tiering) = opened(&store).await;
    let kept = Topic::new(&fixture, &tiering, "kept", 6 << 20).await;
    let long = Topic::new(&fixture, &tiering, "long", LONG).await;
    let of_class = |tiering: &Tiering, class| tiering.cache_class_bytes(class) / CHUNK;
    kept.class(&tiering, CacheClass::Keep);
    assert!(kept.read(&tiering).await > 0);
    long.read(&tiering).await;
    assert_eq!(kept.read(&tiering).await, 0);
    assert!(of_class(&tiering, CacheClass::Keep) >= 24);
    drop(tiering);

    // What the cache knows of the chunks counts before anybody has told it of the topic.
    let tiering = fixture.open().await;
    assert!(of_class(&tiering, CacheClass::Keep) >= 24);
    long.read(&tiering).await;
    kept.class(&tiering, CacheClass::Keep);
    assert_eq!(kept.read(&tiering).await, 0);

    kept.class(&tiering, CacheClass::Normal);
    assert_eq!(kept.read(&tiering).await, 0, "it is there, and used once more");
    long.read(&tiering).await;
    assert!(kept.read(&tiering).await > 0, "and then it stood as all others do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_to_keep_that_is_longer_than_the_cache_leaves_room_for_others() {
    let store = BadStore::new();
    let (fixture, tiering) = opened(&store).await;
    let long = Topic::new(&fixture, &tiering, "long", LONG).await;
    let usual = Topic::new(&fixture, &tiering, "usual", 2 << 20).await;
    long.class(&tiering, CacheClass::Keep);
    for _ in 0..2 {
        long.read(&tiering).await;
        assert_eq!(tiering.cache_class_bytes(CacheClass::Keep), CHUNKS * CHUNK * 3 / 4);
    }
    usual.read(&tiering).await;
    assert_eq!(usual.read(&tiering).await, 0);
}
