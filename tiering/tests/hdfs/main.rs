//! Tiering against a real HDFS, named by ICECORE_TEST_HDFS_URL.
//!
//! Built only with the feature `hdfs-tests`: without it these tests do not exist, so that nothing
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

use std::time::Duration;

use fixture::{Fixture, bytes_of, files_under, key};
use hdfs_native_object_store::HdfsObjectStoreBuilder;
use icecore_tiering::{CollectOptions, ObjectPart, Scope, StoreSettings};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

#[cfg(test)]
mod cluster {
    use super::{Fixture, StoreSettings};

    pub(crate) fn url() -> String {
        std::env::var("ICECORE_TEST_HDFS_URL")
            .expect("set ICECORE_TEST_HDFS_URL to a NameNode, for example hdfs://127.0.0.1:9000")
    }

    /// A fixture over a folder of its own.
    pub(crate) fn fixture() -> Fixture {
        let folder = format!("{}/{}", url(), uuid::Uuid::new_v4().simple());
        Fixture::with_store(tempfile::tempdir().unwrap(), StoreSettings::new(folder))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_keeps_serves_expires_rebuilds_and_forgets_segments() {
    let fixture = cluster::fixture();
    conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_torn_uploads_left_is_collected() {
    let mut fixture = cluster::fixture();
    conformance::what_torn_uploads_left_is_collected(&mut fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hdfs_keeps_snapshots_and_has_one_owner() {
    let fixture = cluster::fixture();
    conformance::a_store_keeps_snapshots_and_has_one_owner(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_of_dead_writers_are_found_in_the_list_and_removed() {
    let fixture = cluster::fixture();
    let tiering = fixture.open().await;
    let segment = fixture.make(&key("t", 0), 0, 9, 70_000).upload(&tiering).await;
    let log = tiering.object_name(&segment, ObjectPart::Log);
    let dead = log.replace(&segment.segment_id.to_string(), &"ab".repeat(16));
    let client = HdfsObjectStoreBuilder::new().with_url(cluster::url()).build().unwrap();
    let mut upload = client.put_multipart(&Path::parse(&dead).unwrap()).await.unwrap();
    upload.put_part("a part".into()).await.unwrap();
    drop(upload);
    fixture.clock.advance(60_000);
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!(report.unfinished.count, 1, "{report:?}");
    assert_eq!(report.foreign.count, 0, "{report:?}");
    assert_eq!(tiering.collect_garbage(&options).await.unwrap().unfinished.count, 0);
    let slices = tiering.read(&segment, 0..5).await.unwrap();
    assert_eq!(bytes_of(&slices).len(), 5);
    assert_eq!(files_under(&fixture.config.cache_dir), ["index", "lock", "slab-0000"]);
}
