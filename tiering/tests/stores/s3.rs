//! What every server that speaks S3 must do beside the common promises.

use std::time::Duration;

use icecore_tiering::{CollectOptions, FindingKind, ObjectPart, OpenError, Scope};

use crate::conformance;
use crate::fixture::{Fixture, bytes_of, files_under, key};
use crate::fixture_over;
use crate::places::s3::Endpoint;
use crate::watch::findings;

/// The one that it has by default is the common promises' own.
pub(crate) async fn segments_live_with_every_checksum(endpoint: Endpoint) {
    for checksum in ["sha256", "none"] {
        let mut fixture = fixture_over(endpoint.bucket("life").await);
        fixture.config.store = fixture.config.store.with_option("checksum", checksum);
        conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(&fixture).await;
    }
}

pub(crate) async fn a_missing_bucket_is_named(endpoint: Endpoint) {
    let missing = fixture_over(endpoint.settings("not-there"));
    let Err(error) = missing.try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::NoBucket { .. }), "{error}");
    assert!(error.to_string().contains("\"not-there\" does not exist"), "{error}");
}

pub(crate) async fn an_upload_that_no_list_shows_is_found_and_aborted(endpoint: Endpoint) {
    let fixture = fixture_over(endpoint.bucket("janitor").await);
    let tiering = fixture.open().await;
    let segment = fixture.make(&key("t", 0), 0, 9, 6_000_000).upload(&tiering).await;
    let log = tiering.object_name(&segment, ObjectPart::Log);
    let dead = log.replace(&segment.segment_id.to_string(), &"ab".repeat(16));
    let bucket = bucket_of(&fixture);
    let s3 = endpoint.client();
    let started = s3.create_multipart_upload().bucket(&bucket).key(&dead).send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = s3.upload_part().bucket(&bucket).key(&dead).upload_id(id).part_number(1);
    part.body(vec![1; 1000].into()).send().await.unwrap();

    fixture.clock.advance(60_000);
    let collect = |min_age| CollectOptions { min_age, dry_run: false, scope: Scope::All };
    let spared = tiering.collect_garbage(&collect(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(spared.unfinished.count, 0);
    assert_eq!(findings(&tiering, false).await, [FindingKind::UnfinishedUpload]);
    let report = tiering.collect_garbage(&collect(Duration::ZERO)).await.unwrap();
    assert_eq!(report.unfinished.count, 1, "{report:?}");
    assert_eq!(findings(&tiering, false).await, []);
    let left = s3.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert!(left.uploads().is_empty());
    let bytes = tiering.read(&segment, 0..5).await.unwrap();
    assert_eq!(bytes_of(&bytes).len(), 5);
    assert_eq!(files_under(&fixture.config.cache_dir), ["index", "lock", "slab-0000", "socket"]);
}

fn bucket_of(fixture: &Fixture) -> String {
    fixture.config.store.url.split('/').nth(2).unwrap().to_owned()
}

/// The tests of one server.
macro_rules! s3_tests {
    ($endpoint:expr; $($promise:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                $crate::s3::$promise($endpoint).await;
            }
        )+
    };
    ($endpoint:expr) => {
        $crate::calls::store_calls!($crate::places::place($endpoint.bucket("calls").await).await);
        $crate::conformance::segment_tests!($crate::fixture_over($endpoint.bucket("life").await));
        $crate::s3::s3_tests! {
            $endpoint;
            segments_live_with_every_checksum
            a_missing_bucket_is_named
            an_upload_that_no_list_shows_is_found_and_aborted
        }
    };
}
pub(crate) use s3_tests;
