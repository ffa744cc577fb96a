//! Tiering against a real S3 endpoint, named by ICECORE_TEST_S3_ENDPOINT (LocalStack).
//!
//! Built only with the feature `s3-tests`: without it these tests do not exist, so that nothing
//! is skipped in silence.

#[cfg(test)]
#[path = "../tiering/conformance.rs"]
mod conformance;
#[cfg(test)]
#[path = "../tiering/death.rs"]
mod death;
#[cfg(test)]
#[path = "../tiering/fixture.rs"]
mod fixture;

#[cfg(test)]
mod bucket;

use std::time::Duration;

use bucket::{bucket_of, client, fixture, settings};
use fixture::{Fixture, bytes_of, files_under, key};
use icecore_tiering::{CollectOptions, MultipartRule, OpenError, Scope, StoreKind};

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_serves_expires_rebuilds_and_forgets_segments() {
    for checksum in ["crc64nvme", "sha256", "none"] {
        let mut fixture = fixture("conformance").await;
        fixture.config.store = fixture.config.store.with_option("checksum", checksum);
        conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(&fixture).await;
        let left = client().list_objects_v2().bucket(bucket_of(&fixture)).send().await.unwrap();
        let left: Vec<_> = left.contents().iter().filter_map(|object| object.key()).collect();
        assert_eq!(left, ["in/here/a/prefix/cluster-1/meta/marker.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_torn_uploads_left_is_collected() {
    let mut fixture = fixture("torn").await;
    conformance::what_torn_uploads_left_is_collected(&mut fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_snapshots_and_has_one_owner() {
    let fixture = fixture("snapshots").await;
    conformance::a_store_keeps_snapshots_and_has_one_owner(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_up_check_tells_what_the_bucket_lacks() {
    let fixture = fixture("check").await;
    let tiering = fixture.open().await;
    let report = tiering.status().await.unwrap().store;
    assert_eq!((report.kind, report.multipart_rule), (StoreKind::S3, MultipartRule::Absent));
    let missing = Fixture::with_store(tempfile::tempdir().unwrap(), settings("not-there"));
    let Err(error) = missing.try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::NoBucket { .. }), "{error}");
    assert!(error.to_string().contains("\"not-there\" does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_upload_that_no_list_shows_is_found_and_aborted() {
    let fixture = fixture("janitor").await;
    let tiering = fixture.open().await;
    let segment = fixture.make(&key("t", 0), 0, 9, 6_000_000).upload(&tiering).await;
    let log = tiering.object_name(&segment, icecore_tiering::ObjectPart::Log);
    let dead = log.replace(&segment.segment_id.to_string(), &"ab".repeat(16));
    let bucket = bucket_of(&fixture);
    let s3 = client();
    let started = s3.create_multipart_upload().bucket(&bucket).key(&dead).send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = s3.upload_part().bucket(&bucket).key(&dead).upload_id(id).part_number(1);
    part.body(vec![1; 1000].into()).send().await.unwrap();

    fixture.clock.advance(60_000);
    let collect = |min_age| CollectOptions { min_age, dry_run: false, scope: Scope::All };
    let spared = tiering.collect_garbage(&collect(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(spared.unfinished.count, 0);
    let report = tiering.collect_garbage(&collect(Duration::ZERO)).await.unwrap();
    assert_eq!(report.unfinished.count, 1, "{report:?}");
    let left = s3.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert!(left.uploads().is_empty());
    let bytes = tiering.read(&segment, 0..5).await.unwrap();
    assert_eq!(bytes_of(&bytes).len(), 5);
    assert_eq!(files_under(&fixture.config.cache_dir), ["index", "lock", "slab-0000"]);
}
