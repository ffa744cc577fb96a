//! Google Cloud Storage as fake-gcs-server speaks it, named by ICECORE_TEST_GCS_ENDPOINT: what can
//! be read and listed. Its objects are made through the JSON API.

use icecore_tiering::{OpenError, StoreError};

use crate::calls;
use crate::fixture::noise;
use crate::fixture_over;
use crate::place::Place;
use crate::places::gcs::{bucket, put, settings};
use crate::places::place;

async fn filled(objects: &[(&str, Vec<u8>)]) -> Place {
    let (bucket, settings) = bucket("calls").await;
    let place = place(settings).await;
    for (name, bytes) in objects {
        put(&bucket, place.name(name).as_ref(), bytes.clone()).await;
    }
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_whole_and_in_every_range() {
    for size in [1, 2, 100_003] {
        let bytes = noise(size as u64, size);
        let place = filled(&[("x", bytes.clone())]).await;
        calls::every_range_comes_back(&place, &place.name("x"), &bytes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_of_its_folder_alone() {
    let names = ["l/a/1", "l/a/2/x", "l/ab/3", "l/a.x", "l/b/A", "l/b/a"];
    let place = filled(&names.map(|name| (name, name.as_bytes().to_vec()))).await;
    calls::its_folder_alone_is_listed(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_has_an_error_of_its_own() {
    let place = filled(&[("here/x", b"x".to_vec())]).await;
    calls::missing_is_told_apart(&place, "here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_objects_are_gone_and_missing_ones_are_no_error() {
    let place = filled(&[("d/1", b"x".to_vec()), ("d/2", b"x".to_vec())]).await;
    let names = ["d/1", "d/none", "d/2"].map(|name| place.name(name)).to_vec();
    place.store.delete(names).await.unwrap();
    assert_eq!(calls::listed(&place, "d").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_server_cannot_take_is_an_error_that_does_not_pass() {
    let place = filled(&[]).await;
    let refused = place.store.put(&place.name("x"), "x".into()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    let Err(error) = fixture_over(settings("any")).try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Unusable { .. } | OpenError::NoBucket { .. }), "{error}");
}
