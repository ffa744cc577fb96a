//! A real HDFS, named by ICECORE_TEST_HDFS_URL.

use std::time::Duration;

use hdfs_native_object_store::HdfsObjectStoreBuilder;
use icecore_tiering::{CollectOptions, ObjectPart, Scope};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::fixture::{bytes_of, files_under, key};
use crate::fixture_over;
use crate::places::hdfs::{folder, url};
use crate::places::place;

crate::calls::store_calls!(place(folder()).await);
crate::conformance::segment_tests!(fixture_over(folder()));

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_of_dead_writers_are_found_in_the_list_and_removed() {
    let fixture = fixture_over(folder());
    let tiering = fixture.open().await;
    let segment = fixture.make(&key("t", 0), 0, 9, 70_000).upload(&tiering).await;
    let log = tiering.object_name(&segment, ObjectPart::Log);
    let dead = log.replace(&segment.segment_id.to_string(), &"ab".repeat(16));
    let client = HdfsObjectStoreBuilder::new().with_url(url()).build().unwrap();
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
    assert_eq!(files_under(&fixture.config.cache_dir), ["index", "lock", "slab-0000", "socket"]);
}
