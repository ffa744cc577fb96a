//! Guests and owners that lie, hang or make no sense.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, StreamExt as _};

use super::fixture_test::{
    NORMAL, Process, SOON, Stranger, ask, content, fill, is_right, keep, key, two, until,
};
use super::frame::{GuestSays, OwnerSays, Placed, Terms, VERSION, Wire, framed};
use super::{SharedCache, Turn, socket};
use crate::cache::{CHUNK_BYTES, CacheSettings};
use crate::clock::SystemClock;
use crate::steps::RunThrough;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_makes_no_sense_sees_the_door_and_counted_and_the_owner_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    let asks = ask(1, 0, 1);
    let mut torn = fill(1, 0, content(0)).encode().to_vec();
    torn[40] ^= 1;
    let hello = GuestSays::Hello { version: VERSION }.encode();
    let after_welcome: Vec<(&str, Bytes)> = vec![
        ("noise", vec![0xee; 300].into()),
        ("an empty frame", Bytes::new()),
        ("half an ask", asks.encode().slice(..9)),
        ("an ask and more", [&asks.encode()[..], &[1]].concat().into()),
        ("a class that there is not", [&asks.encode()[..29], &[3]].concat().into()),
        ("hello again", hello.clone()),
        ("a chunk that is torn", torn.into()),
        ("a chunk of no bytes", fill(1, 0, Bytes::new()).encode()),
        ("a slot that it does not hold", GuestSays::Release { slot: 3 }.encode()),
        ("a slot that there is not", GuestSays::Release { slot: u32::MAX }.encode()),
        ("chunks beyond all numbers", ask(1, u32::MAX, 9).encode()),
        ("no chunks", GuestSays::GiveUp { key: key(0), count: 0 }.encode()),
    ];
    let mut refused = 0;
    for (what, frame) in after_welcome {
        let (mut stranger, _) = Stranger::welcomed(folder.path()).await;
        stranger.0.send(frame).await.unwrap();
        stranger.sees_the_door().await;
        refused += 1;
        until(what, || owner.counted().guest_refusals == refused).await;
    }
    for frame in [asks.encode(), GuestSays::Hello { version: 9 }.encode(), Bytes::new()] {
        let mut stranger = Stranger::connected(folder.path()).await;
        stranger.0.send(frame).await.unwrap();
        stranger.sees_the_door().await;
        refused += 1;
        until("counted", || owner.counted().guest_refusals == refused).await;
    }
    // A length that no frame has: the stream is cut before anything is read of it.
    let stream = socket::connect(folder.path()).await.unwrap();
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(&[0xff; 64]).unwrap(), 64);
    Stranger(framed(stream)).sees_the_door().await;
    assert_eq!(owner.fetched(0..4).await, [0, 1, 2, 3]);
    assert_eq!(guest.fetched(0..5).await, [4]);
    assert_eq!(owner.counted().wrong_chunks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_that_a_guest_brings_are_served_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    let (mut liar, _) = Stranger::welcomed(folder.path()).await;
    for (ask, chunk) in [(1, 1), (2, 2), (3, 3)] {
        let lie = match chunk {
            1 => content(4),
            2 => content(2).slice(..10),
            _ => vec![9; CHUNK_BYTES as usize].into(),
        };
        liar.says(&fill(ask, chunk, lie)).await;
        assert!(matches!(liar.hears().await, Some(OwnerSays::Filled { .. })));
    }
    assert_eq!(owner.fetched(1..2).await, [1], "the owner has compared it");
    assert_eq!(owner.counted().wrong_chunks, 1);
    assert_eq!(guest.fetched(1..4).await, [2, 3], "and so has a guest");
    assert_eq!(guest.counted().wrong_chunks, 2);
    assert_eq!(owner.fetched(1..4).await, [0; 0]);
    // What is there already does not change by it.
    liar.says(&fill(4, 1, vec![1; 50].into())).await;
    assert_eq!(liar.hears().await, Some(OwnerSays::Refused { ask: 4 }));
    assert_eq!(owner.fetched(1..4).await, [0; 0]);
    let third = Process::new(folder.path(), 64).await;
    assert_eq!(third.fetched(1..4).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_holds_and_asks_for_no_more_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Process::new(folder.path(), 64).await;
    assert_eq!(owner.fetched(0..64).await.len(), 64);
    let (mut greedy, terms) = Stranger::welcomed(folder.path()).await;
    assert_eq!((terms.slots, terms.holds_max), (64, 8));
    // What is left it is given in small pieces, if it does not ask for single chunks.
    for (number, count, given) in [(0, 5, 5), (1, 5, 1), (2, 1, 1), (3, 5, 1), (4, 1, 0)] {
        greedy.says(&ask(number, number * 10, count)).await;
        match greedy.hears().await.unwrap() {
            OwnerSays::Here { places, .. } => assert_eq!(places.len(), given),
            says => assert_eq!((says, given), (OwnerSays::Alone { ask: 4 }, 0)),
        }
    }
    // All guests together leave half of the slots to the owner.
    let mut more = Vec::new();
    for _ in 0..8 {
        let (mut next, _) = Stranger::welcomed(folder.path()).await;
        next.says(&ask(1, 0, 8)).await;
        more.push((next.hears().await.unwrap(), next));
    }
    assert!(matches!(more.last(), Some((OwnerSays::Alone { .. }, _))));
    owner.fetched(100..200).await;
    drop(more);
    // Asks that are never answered, since nobody brings what they wait for.
    let _claim = owner.claim(300, 1).await;
    let (mut asking, _) = Stranger::welcomed(folder.path()).await;
    for number in 0..200 {
        let _ = asking.0.feed(ask(number, 300, 1).encode()).await;
    }
    let _ = SinkExt::<Bytes>::flush(&mut asking.0).await;
    asking.sees_the_door().await;
    owner.fetched(200..210).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_hang_one_after_another_keep_nobody_waiting_for_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Process::patient(folder.path(), 64, Duration::from_millis(2)).await;
    let (mut first, _) = Stranger::welcomed(folder.path()).await;
    first.says(&ask(1, 0, 1)).await;
    assert_eq!(first.hears().await, Some(OwnerSays::Yours { ask: 1, count: 1 }));
    let began = Instant::now();
    // Whoever takes the chunk up next brings nothing either.
    let claims = futures::future::join_all((0..40).map(|_| owner.claim(0, 1))).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(claims);
    owner.read(0).await;
}

/// An owner that welcomes everybody.
struct Puppet {
    wire: Wire,
    _lock: std::fs::File,
}

/// A guest of an owner that a test plays.
async fn guest_of_a_puppet(folder: &Path, patience: Duration) -> (Process, Puppet) {
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    lock.write_all_at(&[7; 16], 0).unwrap();
    std::fs::File::create(folder.join("slab-0000")).unwrap().set_len(64 * CHUNK_BYTES).unwrap();
    let listener = socket::listen(folder).unwrap();
    let welcome = async {
        let mut wire = framed(listener.accept().await.unwrap().0);
        let hello = wire.next().await.unwrap().unwrap();
        assert!(matches!(GuestSays::decode(hello.freeze()), Ok(GuestSays::Hello { .. })));
        let terms = Terms {
            chunk_bytes: CHUNK_BYTES as u32,
            era: [7; 16],
            slots: 64,
            slots_per_slab: 4096,
            holds_max: 8,
        };
        wire.send(OwnerSays::Welcome { version: VERSION, terms }.encode()).await.unwrap();
        wire
    };
    let (guest, wire) = tokio::join!(Process::patient(folder, 64, patience), welcome);
    (guest, Puppet { wire, _lock: lock })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_owner_is_waited_for_once_and_shortly_and_heard_again_when_it_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let (guest, mut owner) = guest_of_a_puppet(folder.path(), Duration::from_millis(50)).await;
    let began = Instant::now();
    assert_eq!(guest.fetched(0..4).await, [0, 1, 2, 3]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(guest.counted().guest_fallbacks, 4);
    // The one that was put to it is answered late: what it gives is given back.
    let asked = owner.wire.next().await.unwrap().unwrap();
    let Ok(GuestSays::Ask { ask, .. }) = GuestSays::decode(asked.freeze()) else {
        panic!("no ask")
    };
    let place = Placed { slot: 5, len: 10 };
    let late = OwnerSays::Here { ask, places: vec![place] };
    owner.wire.send(late.encode()).await.unwrap();
    let returned = owner.wire.next().await.unwrap().unwrap();
    assert_eq!(GuestSays::decode(returned.freeze()), Ok(GuestSays::Release { slot: 5 }));
    let (read, asked) = tokio::join!(guest.read(9), owner.wire.next());
    assert!(read.1, "it is asked again, and does not answer again");
    let asked = GuestSays::decode(asked.unwrap().unwrap().freeze());
    assert!(matches!(asked, Ok(GuestSays::Ask { count: 1, .. })), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lies_is_believed_in_nothing() {
    type Lie = fn(u32) -> OwnerSays;
    let lies: Vec<(&str, Lie)> = vec![
        ("a slot that there is not", |ask| OwnerSays::Here {
            ask,
            places: vec![Placed { slot: 64, len: 9 }],
        }),
        ("a slot with other bytes", |ask| OwnerSays::Here {
            ask,
            places: vec![Placed { slot: 3, len: 9 }],
        }),
        ("more than was asked for", |ask| OwnerSays::Here {
            ask,
            places: vec![Placed { slot: 3, len: 9 }; 20],
        }),
        ("more to bring than was asked for", |ask| OwnerSays::Yours { ask, count: 99 }),
        ("an answer to another question", |ask| OwnerSays::Alone { ask: ask + 1000 }),
    ];
    for (what, lie) in lies {
        let folder = tempfile::tempdir().unwrap();
        let (guest, mut owner) = guest_of_a_puppet(folder.path(), SOON).await;
        let lies = async {
            while let Some(Ok(frame)) = owner.wire.next().await {
                if let Ok(GuestSays::Ask { ask, .. }) = GuestSays::decode(frame.freeze())
                    && owner.wire.send(lie(ask).encode()).await.is_err()
                {
                    return;
                }
            }
        };
        let read = async {
            for _ in 0..3 {
                let found = match guest.cache.turn(key(1), 1, NORMAL).await {
                    Turn::Here(found) => found,
                    Turn::Fetch(_) => return,
                };
                for found in found {
                    assert!(found.check(Some(is_right(1))).await.is_none(), "{what}");
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = lies => {}
        }
        drop(owner);
        let mut claim = guest.cache.alone(1, NORMAL);
        keep(&mut claim, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_era_is_seen_before_a_byte_of_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (guest, mut owner) = guest_of_a_puppet(folder.path(), SOON).await;
    owner._lock.write_all_at(&[8; 16], 0).unwrap();
    let answer = async {
        let asked = owner.wire.next().await.unwrap().unwrap();
        let Ok(GuestSays::Ask { ask, .. }) = GuestSays::decode(asked.freeze()) else {
            panic!("no ask")
        };
        let here = OwnerSays::Here { ask, places: vec![Placed { slot: 1, len: 9 }] };
        owner.wire.send(here.encode()).await.unwrap();
        owner.wire.next().await.unwrap().unwrap()
    };
    let (turn, returned) = tokio::join!(guest.cache.turn(key(1), 1, NORMAL), answer);
    assert!(matches!(turn, Turn::Fetch(_)), "it is not looked at");
    assert_eq!(GuestSays::decode(returned.freeze()), Ok(GuestSays::Release { slot: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_the_folder_and_shares_nothing_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let settings = CacheSettings {
        dir: folder.path().to_owned(),
        bytes: 64 * CHUNK_BYTES,
        claim_wait: Duration::from_millis(50),
        patience: Duration::from_millis(50),
        is_told: true,
        clock: Arc::new(SystemClock),
        steps: Arc::new(RunThrough),
        counters: Arc::default(),
    };
    let open = tokio::task::spawn_blocking(|| SharedCache::open(settings));
    let error = open.await.unwrap().err().unwrap().to_string();
    assert!(error.contains("in use by another icecore that does not share it"), "{error}");
}
