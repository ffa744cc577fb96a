//! versitygw, named by ICECORE_TEST_VERSITYGW_ENDPOINT: a second S3, which checks signatures.

use icecore_tiering::{MultipartRule, OpenError, StoreError};

use crate::fixture_over;
use crate::places::place;
use crate::places::s3::VERSITYGW;

crate::s3::s3_tests!(VERSITYGW);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_denied_in_words() {
    let bucket = VERSITYGW.bucket("denied").await;
    let wrong = bucket.with_option("secret_access_key", "wrong");
    let Err(error) = fixture_over(wrong.clone()).try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
    let place = place(wrong).await;
    let object = place.name("x");
    let put = place.store.put(&object, "x".into()).await;
    assert!(matches!(put, Err(StoreError::Denied { .. })), "{put:?}");
    let get = place.store.get_whole(&object, 10).await;
    assert!(matches!(get, Err(StoreError::Denied { .. })), "{get:?}");
    let list = place.store.list(&object, |_| {}).await;
    assert!(matches!(list, Err(StoreError::Denied { .. })), "{list:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_the_server_cannot_tell_is_unknown() {
    let tiering = fixture_over(VERSITYGW.bucket("check").await).open().await;
    let rule = tiering.status().await.unwrap().store.multipart_rule;
    assert!(matches!(rule, MultipartRule::Unknown(_)), "{rule:?}");
}
