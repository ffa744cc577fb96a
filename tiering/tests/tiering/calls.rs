//! What the store layer promises, call by call, the same against every store.
//!
//! [`store_calls!`] makes a test of each promise for one store. A store that only gives is held to
//! the parts of the promises that are about reading.

use std::collections::BTreeSet;

use bytes::Bytes;
use icecore_tiering::StoreError;
use object_store::path::Path;

use crate::fixture::noise;
use crate::place::Place;

/// A part of an upload: S3 takes no less before the last.
const PART: usize = 5 << 20;

/// The names below a folder, without the folder of the test.
pub(crate) async fn listed(place: &Place, folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let folder = place.name(folder);
    let list = place.store.list(&folder, |object| {
        let name = object.location.as_ref().strip_prefix(&place.folder).unwrap();
        assert!(found.insert(name[1..].to_owned()), "listed twice: {name}");
    });
    list.await.unwrap();
    found
}

async fn put(place: &Place, name: &str, bytes: impl Into<Bytes>) -> Path {
    let object = place.name(name);
    place.store.put(&object, bytes.into()).await.unwrap();
    object
}

async fn whole(place: &Place, object: &Path) -> Bytes {
    place.store.get_whole(object, 1 << 30).await.unwrap()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) async fn an_object_comes_back_whole_and_in_every_range(place: Place) {
    for size in [1, 2, 100_003] {
        let bytes = noise(size as u64, size);
        let object = put(&place, &format!("of-{size}"), bytes.clone()).await;
        every_range_comes_back(&place, &object, &bytes).await;
    }
    let object = put(&place, "empty", Bytes::new()).await;
    assert_eq!(place.store.head(&object).await.unwrap().size, 0);
    assert_eq!(whole(&place, &object).await.len(), 0);
    let object = put(&place, "of-1", "written over").await;
    assert_eq!(whole(&place, &object).await, "written over");
}

/// The part of it that a store without writes can show.
pub(crate) async fn every_range_comes_back(place: &Place, object: &Path, bytes: &[u8]) {
    let size = bytes.len() as u64;
    assert_eq!(place.store.head(object).await.unwrap().size, size);
    assert!(whole(place, object).await == bytes, "the whole of {object}");
    for (start, end) in [(0, 1), (0, size), (size - 1, size), (size / 2, size / 2 + 1)] {
        let range = place.store.get_range(object, size, start..end).await.unwrap();
        assert!(range == bytes[start as usize..end as usize], "{start}..{end} of {size}");
    }
    for (start, end) in [(0, 0), (1, 0), (0, size + 1), (size, size + 1), (u64::MAX, 0)] {
        let refused = place.store.get_range(object, size, start..end).await;
        assert!(matches!(refused, Err(StoreError::WrongBytes { .. })), "{start}..{end} of {size}");
    }
    // The size that a caller believes in can be wrong: an error, and never other bytes.
    assert!(place.store.get_range(object, size + 10, size..size + 10).await.is_err());
    assert!(place.store.get_range(object, size + 10, 0..size + 10).await.is_err());
    let large = place.store.get_whole(object, size - 1).await;
    assert!(matches!(large, Err(StoreError::WrongBytes { .. })), "{large:?}");
}

pub(crate) async fn one_of_many_creates_wins_and_its_bytes_stay(place: Place) {
    let place = std::sync::Arc::new(place);
    for round in 0..3 {
        let mut creates = tokio::task::JoinSet::new();
        for number in 0..32 {
            let (place, object) = (place.clone(), place.name(&format!("raced-{round}")));
            creates.spawn(async move {
                let created = place.store.create(&object, format!("by {number:02}").into()).await;
                (number, created)
            });
        }
        let done = creates.join_all().await;
        let winners: Vec<_> = done.iter().filter(|(_, created)| created.is_ok()).collect();
        let losers = done.iter().filter_map(|(_, created)| created.as_ref().err());
        for loser in losers {
            assert!(matches!(loser, StoreError::Exists { .. }), "{loser}");
        }
        assert_eq!(winners.len(), 1);
        let object = place.name(&format!("raced-{round}"));
        assert_eq!(whole(&place, &object).await, format!("by {:02}", winners[0].0));
        let late = place.store.create(&object, "late".into()).await;
        assert!(matches!(late, Err(StoreError::Exists { .. })), "{late:?}");
        assert_eq!(whole(&place, &object).await, format!("by {:02}", winners[0].0));
    }
}

pub(crate) async fn a_list_is_of_its_folder_alone(place: Place) {
    for name in ["l/a/1", "l/a/2/x", "l/ab/3", "l/a.x", "l/b/A", "l/b/a"] {
        put(&place, name, name.to_owned()).await;
    }
    its_folder_alone_is_listed(&place).await;
    place.store.delete(vec![place.name("l/ab/3")]).await.unwrap();
    assert_eq!(listed(&place, "l/ab").await, set(&[]));
}

/// The part of it that a store without writes can show.
pub(crate) async fn its_folder_alone_is_listed(place: &Place) {
    assert_eq!(listed(place, "l/a").await, set(&["l/a/1", "l/a/2/x"]));
    assert_eq!(listed(place, "l/b").await, set(&["l/b/A", "l/b/a"]), "two names");
    assert_eq!(listed(place, "l/none").await, set(&[]));
    assert_eq!(listed(place, "none").await, set(&[]));
    let all = set(&["l/a/1", "l/a/2/x", "l/ab/3", "l/a.x", "l/b/A", "l/b/a"]);
    assert_eq!(listed(place, "l").await, all);
    let folders = place.store.folders(&place.name("l")).await.unwrap();
    assert_eq!(folders, ["l/a", "l/ab", "l/b"].map(|name| place.name(name)));
    assert!(place.store.folders(&place.name("none")).await.unwrap().is_empty());
    let mut sizes = BTreeSet::new();
    let day = 86_400;
    let folder = place.name("l/a");
    let list = place.store.list(&folder, |object| {
        let age = std::time::SystemTime::now().duration_since(object.last_modified.into());
        assert!(age.is_ok_and(|age| age.as_secs() < day), "{object:?}");
        sizes.insert(object.size);
    });
    list.await.unwrap();
    assert_eq!(sizes, BTreeSet::from([5, 7]));
}

pub(crate) async fn many_are_deleted_at_once_the_missing_among_them_too(place: Place) {
    let name = |number: usize| format!("d/{number:04}");
    for number in (0..1100).step_by(50) {
        put(&place, &name(number), "x").await;
    }
    put(&place, "kept/x", "x").await;
    let all: Vec<Path> = (0..1100).map(|number| place.name(&name(number))).collect();
    place.store.delete(all.clone()).await.unwrap();
    assert_eq!(listed(&place, "d").await, set(&[]));
    place.store.delete(all[..3].to_vec()).await.expect("again is no error");
    place.store.delete(Vec::new()).await.unwrap();
    assert_eq!(listed(&place, "kept").await, set(&["kept/x"]));
}

pub(crate) async fn an_upload_in_parts_is_there_whole_or_not_at_all(place: Place) {
    let bytes = noise(9, 2 * PART + 1234);
    let object = place.name("m/parts");
    let mut upload = place.store.multipart(&object).await.unwrap();
    for part in bytes.chunks(PART) {
        upload.put_part(part.to_vec().into()).await.unwrap();
    }
    let early = place.store.head(&object).await;
    assert!(matches!(early, Err(StoreError::NotFound { .. })), "{early:?}");
    upload.complete(bytes.len() as u64).await.unwrap();
    assert!(whole(&place, &object).await == bytes);

    let object = place.name("m/aborted");
    let mut upload = place.store.multipart(&object).await.unwrap();
    upload.put_part(bytes[..PART].to_vec().into()).await.unwrap();
    upload.abort().await;
    let aborted = place.store.head(&object).await;
    assert!(matches!(aborted, Err(StoreError::NotFound { .. })), "{aborted:?}");
    assert_eq!(listed(&place, "m").await, set(&["m/parts"]));
}

pub(crate) async fn sixty_four_mebibytes_go_and_come(place: Place) {
    let bytes = Bytes::from(noise(64, 64 << 20));
    let size = bytes.len() as u64;
    let (put, parts) = (put(&place, "large/put", bytes.clone()).await, place.name("large/parts"));
    let mut upload = place.store.multipart(&parts).await.unwrap();
    let sent: Vec<_> =
        (0..8).map(|n| upload.put_part(bytes.slice((n << 23)..(n + 1) << 23))).collect();
    for part in futures::future::join_all(sent).await {
        part.unwrap();
    }
    upload.complete(size).await.unwrap();
    for object in [put, parts] {
        for start in (0..size).step_by(16 << 20) {
            let range = start..start + (16 << 20);
            let got = place.store.get_range(&object, size, range.clone()).await.unwrap();
            assert!(got == bytes[range.start as usize..range.end as usize], "{object} {range:?}");
        }
        place.store.delete(vec![object]).await.unwrap();
    }
}

pub(crate) async fn every_name_of_ours_comes_back_as_it_is(place: Place) {
    let mut names = vec![
        "n/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/0123456789._-".to_owned(),
        "n/.first/-x/_y/z-.log".to_owned(),
    ];
    // The longest that the layout makes: 900 bytes in all, 240 in one part.
    let room = 900 - place.folder.len() - 1;
    let long = vec!["p".repeat(240); room / 241 + 1].join("/");
    names.push(format!("n/{}", &long[..room - 2]).trim_end_matches('/').to_owned());
    for name in &names {
        let object = put(&place, name, name.clone()).await;
        assert_eq!(whole(&place, &object).await, name.as_str());
    }
    assert_eq!(listed(&place, "n").await, names.into_iter().collect());
}

pub(crate) async fn what_is_missing_has_an_error_of_its_own(place: Place) {
    put(&place, "here/x", "x").await;
    missing_is_told_apart(&place, "here").await;
}

/// The part of it that a store without writes can show. `folder` holds something.
pub(crate) async fn missing_is_told_apart(place: &Place, folder: &str) {
    for name in [folder, "not-here", "not/here"] {
        let object = place.name(name);
        for error in [
            place.store.head(&object).await.map(drop).unwrap_err(),
            place.store.get_whole(&object, 10).await.map(drop).unwrap_err(),
            place.store.get_range(&object, 10, 0..5).await.map(drop).unwrap_err(),
        ] {
            assert!(error.is_not_found() && !error.may_pass(), "{name}: {error}");
        }
    }
}

/// One test for each promise, on the place that `$place` gives.
macro_rules! store_calls {
    ($place:expr; $($promise:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                $crate::calls::$promise($place).await;
            }
        )+
    };
    ($place:expr) => {
        $crate::calls::store_calls! {
            $place;
            an_object_comes_back_whole_and_in_every_range
            one_of_many_creates_wins_and_its_bytes_stay
            a_list_is_of_its_folder_alone
            many_are_deleted_at_once_the_missing_among_them_too
            an_upload_in_parts_is_there_whole_or_not_at_all
            sixty_four_mebibytes_go_and_come
            every_name_of_ours_comes_back_as_it_is
            what_is_missing_has_an_error_of_its_own
        }
    };
}
pub(crate) use store_calls;
