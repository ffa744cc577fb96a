//! An upload with a rate of its own asks it before every byte, and holds up nobody while it waits.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{OffloadError, Pace, Tiering};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use crate::fixture::{Fixture, Made, key, read_log};

const SOON: Duration = Duration::from_secs(60);

/// Lets so many requests through, and nobody after them before it is opened.
struct Door {
    left: Semaphore,
    asked: Mutex<Vec<u64>>,
    is_met: Notify,
}

impl Door {
    fn letting_through(count: usize) -> Arc<Self> {
        let (asked, is_met) = (Mutex::default(), Notify::new());
        Arc::new(Self { left: Semaphore::new(count), asked, is_met })
    }

    fn open(&self) {
        self.left.add_permits(1000);
    }
}

#[async_trait::async_trait]
impl Pace for Door {
    async fn admit(&self, bytes: u64) {
        self.asked.lock().push(bytes);
        if self.left.available_permits() == 0 {
            self.is_met.notify_one();
        }
        self.left.acquire().await.expect("never closed").forget();
    }
}

fn begin(
    tiering: &Arc<Tiering>,
    made: &Made,
    door: &Arc<Door>,
) -> JoinHandle<Result<(), OffloadError>> {
    let (tiering, door) = (tiering.clone(), door.clone());
    let (segment, parts) = (made.segment.clone(), made.parts.clone());
    tokio::spawn(async move {
        let turn = tiering.upload_turn(&*door).await?;
        tiering.offload_in(turn, &segment, parts).await
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_waits_for_a_rate_of_its_own_gives_its_turn_to_others() {
    let mut fixture = Fixture::new("folder://");
    fixture.config.uploads_max = 1;
    let tiering = fixture.open().await;
    // It waits before it begins, before the index, and before each of three parts.
    for let_through in 0..5 {
        let number = i32::try_from(let_through).unwrap();
        let slow = fixture.make(&key("slow", number), 0, 9, 11_000_000);
        let fast = fixture.make(&key("fast", number), 0, 9, 1_000);
        let door = Door::letting_through(let_through);
        tiering.record_sealed(&slow.segment).await.unwrap();
        let upload = begin(&tiering, &slow, &door);
        tokio::time::timeout(SOON, door.is_met.notified()).await.expect("it asks");
        let fast = tokio::time::timeout(SOON, fast.upload(&tiering)).await.expect("a turn");
        assert!(fast.is_live() && !upload.is_finished(), "{let_through}");

        door.open();
        tokio::time::timeout(SOON, upload).await.expect("it ends").unwrap().unwrap();
        let row = tiering.find(&slow.segment.partition, slow.segment.base).await.unwrap().unwrap();
        assert!(read_log(&tiering, &row).await == slow.log);
        let asked = door.asked.lock().clone();
        assert_eq!(asked.len(), 5, "{asked:?}");
        assert_eq!(asked[0], 0, "whether it may begin");
        assert_eq!(asked[2..].iter().sum::<u64>(), row.size, "every byte of the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_broken_off_while_it_waits_is_made_again_and_leaves_nothing() {
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    let made = fixture.make(&key("slow", 0), 0, 9, 11_000_000);
    tiering.record_sealed(&made.segment).await.unwrap();
    let door = Door::letting_through(3);
    let upload = begin(&tiering, &made, &door);
    tokio::time::timeout(SOON, door.is_met.notified()).await.expect("it asks");
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    let row = made.upload(&tiering).await;
    assert!(row.is_live() && read_log(&tiering, &row).await == made.log);
    let names = fixture.names().await;
    let of_topic = names.iter().filter(|name| name.contains("slow"));
    assert_eq!(of_topic.count(), 2, "a log and an index: {names:?}");
}
