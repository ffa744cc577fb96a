//! Each store is stopped, asked everything, and goes on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use icecore_tiering::{Store, StoreError, StoreSettings, StoreState};
use object_store::path::Path;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::places::s3::{LOCALSTACK, VERSITYGW};
use crate::places::{self, azure, gcs, hdfs, told};

/// The deadline of each call.
const DEADLINE: Duration = Duration::from_secs(2);
/// What a busy machine may take longer.
const SLACK: Duration = Duration::from_secs(3);
/// The first part of an upload, and what its bytes add to the deadline.
const PART: usize = 5 << 20;
const PER_PART: Duration = Duration::from_secs(10);

/// A stopped store; it goes on when this is dropped, also by a failing test.
struct Frozen(Pid);

impl Frozen {
    fn new(variable: &str) -> Self {
        let group = Pid::from_raw(told(variable).parse().unwrap()).unwrap();
        kill_process_group(group, Signal::STOP).unwrap();
        Self(group)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        kill_process_group(self.0, Signal::CONT).unwrap();
    }
}

/// Few tries and short waits, so that the deadline is what ends a call.
fn impatient(settings: StoreSettings) -> StoreSettings {
    let request_timeout = Duration::from_secs(30);
    StoreSettings { call_timeout: DEADLINE, request_timeout, retries_max: 1, ..settings }
}

/// A call of a client of its own ends within the deadline, and says that it may pass. Of its own, so
/// that it is made: after a few failures the store would be left alone.
async fn fails_in_time<T>(
    what: &str,
    settings: &StoreSettings,
    call: impl AsyncFnOnce(Store) -> Result<T, StoreError>,
) {
    let store = Store::open(settings.clone()).await.unwrap();
    let began = Instant::now();
    let Err(error) = call(store).await else { panic!("{what} of a stopped store") };
    assert!(error.may_pass() && !error.is_left_alone(), "{what}: {error}");
    assert!(began.elapsed() <= DEADLINE + SLACK, "{what} took {:?}: {error}", began.elapsed());
}

async fn reads_fail_in_time(settings: &StoreSettings, object: &Path) {
    fails_in_time("a look-up", settings, async |store| store.head(object).await).await;
    fails_in_time("a read", settings, async |store| store.get_whole(object, 100).await).await;
    fails_in_time("a range", settings, async |store| store.get_range(object, 4, 0..1).await).await;
    fails_in_time("a list", settings, async |store| store.list(object, |_| {}).await).await;
    fails_in_time("folders", settings, async |store| store.folders(object).await).await;
}

async fn writes_fail_in_time(settings: &StoreSettings, object: &Path) {
    let bytes = || Bytes::from_static(b"late");
    fails_in_time("a write", settings, async |store| store.put(object, bytes()).await).await;
    fails_in_time("a create", settings, async |store| store.create(object, bytes()).await).await;
    fails_in_time("an upload", settings, async |store| {
        // Azure is asked nothing before the first part.
        let mut upload = store.multipart(object).await?;
        upload.put_part(bytes()).await?;
        upload.complete(bytes().len() as u64).await
    })
    .await;
    fails_in_time("a deletion", settings, async |store| store.delete(vec![object.clone()]).await)
        .await;
}

/// Once it failed often enough, a call costs no time.
async fn is_left_alone(settings: &StoreSettings, object: &Path) {
    let store = Store::open(settings.clone()).await.unwrap();
    let heads = (0..5).map(|_| store.head(object));
    for failed in futures::future::join_all(heads).await {
        assert!(failed.unwrap_err().may_pass());
    }
    let began = Instant::now();
    let error = store.head(object).await.unwrap_err();
    assert!(error.is_left_alone(), "{error}");
    assert!(began.elapsed() < DEADLINE / 2);
    assert!(matches!(store.state(), StoreState::LeftAlone { .. }));
}

async fn stops_and_goes_on(pid: &str, settings: StoreSettings) {
    let place = places::place(settings.clone()).await;
    let settings = impatient(settings);
    let (kept, late) = (place.name("kept"), place.name("late"));
    place.store.put(&kept, "kept".into()).await.unwrap();
    let store = Store::open(settings.clone()).await.unwrap();
    let mut upload = store.multipart(&place.name("parts")).await.unwrap();
    let frozen = Frozen::new(pid);
    let began = Instant::now();
    let part = upload.put_part(vec![7; PART].into()).await;
    // HDFS takes a part into its own buffers, and fails when it is to be written.
    let whole = if part.is_ok() { upload.complete(PART as u64).await } else { part };
    assert!(whole.is_err_and(|error| error.may_pass()));
    assert!(began.elapsed() <= 2 * (DEADLINE + SLACK) + PER_PART, "{:?}", began.elapsed());
    writes_fail_in_time(&settings, &late).await;
    reads_fail_in_time(&settings, &kept).await;
    is_left_alone(&settings, &kept).await;
    drop(frozen);
    assert_eq!(place.store.get_whole(&kept, 100).await.unwrap(), "kept");
    upload.abort().await;
    place.store.put(&place.name("later"), "later".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn localstack_stops_and_goes_on() {
    stops_and_goes_on("ICECORE_TEST_S3_PID", LOCALSTACK.bucket("frozen").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versitygw_stops_and_goes_on() {
    stops_and_goes_on("ICECORE_TEST_VERSITYGW_PID", VERSITYGW.bucket("frozen").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_stops_and_goes_on() {
    stops_and_goes_on("ICECORE_TEST_HDFS_PID", hdfs::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_stops_and_goes_on() {
    stops_and_goes_on("ICECORE_TEST_AZURE_PID", azure::container("frozen").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_stops_and_goes_on() {
    let (bucket, settings) = gcs::bucket("frozen").await;
    let place = places::place(settings.clone()).await;
    let settings = impatient(settings);
    let kept = place.name("kept");
    gcs::put(&bucket, kept.as_ref(), b"kept".to_vec()).await;
    let frozen = Frozen::new("ICECORE_TEST_GCS_PID");
    reads_fail_in_time(&settings, &kept).await;
    is_left_alone(&settings, &kept).await;
    drop(frozen);
    assert_eq!(place.store.get_whole(&kept, 100).await.unwrap(), "kept");
}
