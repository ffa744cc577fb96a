//! Azure's blobs, as Azurite speaks them, named by ICECORE_TEST_AZURE_ENDPOINT.

use icecore_tiering::{OpenError, StoreError};

use crate::fixture_over;
use crate::places::azure::{container, settings};
use crate::places::place;

crate::calls::store_calls!(place(container("calls").await).await);
crate::conformance::segment_tests!(fixture_over(container("life").await));

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_container_is_named() {
    let Err(error) = fixture_over(settings("not-there")).try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::NoBucket { .. }), "{error}");
    assert!(error.to_string().contains("\"not-there\" does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_denied_in_words() {
    let container = container("denied").await;
    let wrong = container.with_option("access_key", "d3Jvbmc=");
    let Err(error) = fixture_over(wrong.clone()).try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
    let place = place(wrong).await;
    let get = place.store.get_whole(&place.name("x"), 10).await;
    assert!(matches!(get, Err(StoreError::Denied { .. })), "{get:?}");
}
