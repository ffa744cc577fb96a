//! LocalStack, named by ICECORE_TEST_S3_ENDPOINT. It takes any secret, so it can deny nothing.

use icecore_tiering::{MultipartRule, StoreKind};

use crate::fixture_over;
use crate::places::s3::LOCALSTACK;

crate::s3::s3_tests!(LOCALSTACK);

#[tokio::test(flavor = "multi_thread")]
async fn the_start_up_check_tells_what_the_bucket_lacks() {
    let tiering = fixture_over(LOCALSTACK.bucket("check").await).open().await;
    let report = tiering.status().await.unwrap().store;
    assert_eq!((report.kind, report.multipart_rule), (StoreKind::S3, MultipartRule::Absent));
}
