//! Each thing that can be wrong with a store is found by its own name, and nothing else is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use icecore_tiering::{
    CheckError, CheckOptions, CheckWatch, Finding, FindingKind, LogInspector, MetaKind, ObjectPart,
    Scope, Segment, SegmentId, Tiering,
};

use crate::bad_store::{BadStore, Call, Fault};
use crate::fixture::{Fixture, key};
use crate::watch::{Watch, check, findings};

fn keep(path: &Path) -> (PathBuf, Vec<u8>) {
    (path.to_owned(), std::fs::read(path).unwrap())
}

fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_is_found_and_only_that() {
    use FindingKind as Kind;
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    let partition = key("t", 0);
    let first = fixture.make(&partition, 0, 9, 300_000).upload(&tiering).await;
    fixture.make(&partition, 10, 19, 1_000).upload(&tiering).await;
    tiering.put_meta(MetaKind::new("things"), "it".into()).await.unwrap();
    for deep in [false, true] {
        assert_eq!(findings(&tiering, deep).await, []);
    }
    let store = fixture.folder.path().join("store");
    let path = |part| store.join(tiering.object_name(&first, part));
    let (log, index) = (keep(&path(ObjectPart::Log)), keep(&path(ObjectPart::Index)));
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap();
    let gone = |path: &Path| std::fs::remove_file(path).unwrap();
    let back = || [&log, &index].iter().for_each(|(path, bytes)| write(path, bytes));

    for (objects, kind) in [
        (vec![&log], Kind::MissingLog),
        (vec![&index], Kind::MissingIndex),
        (vec![&log, &index], Kind::MissingSegment),
    ] {
        objects.iter().for_each(|(path, _)| gone(path));
        assert_eq!(findings(&tiering, false).await, [kind]);
        back();
    }
    for (object, bytes, deep, kind) in [
        (&log, log.1[1..].to_vec(), false, Kind::WrongLogSize),
        (&index, index.1[..index.1.len() - 1].to_vec(), false, Kind::WrongIndexSize),
        (&index, changed(&index.1, 40), false, Kind::DamagedIndex),
        (&index, changed(&index.1, index.1.len() - 1), true, Kind::DamagedIndex),
        (&log, changed(&log.1, 150_000), true, Kind::DamagedLog),
    ] {
        write(&object.0, &bytes);
        assert_eq!(findings(&tiering, deep).await, [kind]);
        back();
    }

    let name = log.0.file_name().unwrap().to_string_lossy().into_owned();
    let other = |id: &str| {
        log.0.with_file_name(name.replace(&first.segment_id.to_string(), &id.repeat(16)))
    };
    let meta = store.join("a/prefix/cluster-1/meta");
    for (stray, kind) in [
        (log.0.with_file_name("README"), Kind::ForeignName),
        (other("ab"), Kind::Overlap),
        (other("cd").with_extension("index"), Kind::UnknownObject),
        (log.0.with_file_name(format!("{name}#1")), Kind::UnfinishedUpload),
        (meta.join("things/00000000000000000009.meta"), Kind::DamagedMeta),
        (meta.join("notes"), Kind::ForeignName),
    ] {
        write(&stray, b"x");
        assert_eq!(findings(&tiering, false).await, [kind], "{}", stray.display());
        gone(&stray);
    }
    fixture.make(&partition, 30, 39, 1_000).upload(&tiering).await;
    assert_eq!(findings(&tiering, false).await, [Kind::Gap]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_check_reads_every_byte_once_and_not_what_is_known() {
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    let partition = key("t", 0);
    let first = fixture.make(&partition, 0, 9, 700_000).upload(&tiering).await;
    let second = fixture.make(&partition, 10, 19, 1_000).upload(&tiering).await;
    let watch = Watch { known: Some(second.segment_id), ..Watch::default() };
    check(&tiering, true, &watch).await.unwrap();
    let checked = watch.checked.into_inner();
    assert_eq!(checked.len(), 1);
    assert!(checked[0].0 == first.segment_id && checked[0].1 > 700_000, "{checked:?}");
    let watch = Watch { wrong_records: true, ..Watch::default() };
    check(&tiering, true, &watch).await.unwrap();
    assert_eq!(watch.found.into_inner(), [FindingKind::DamagedRecords; 2]);
}

/// Deletes everything while the first segment is looked at.
struct Deletes(std::sync::Arc<Tiering>, Watch);

impl CheckWatch for Deletes {
    fn found(&self, finding: Finding) {
        self.1.found(finding);
    }

    fn checked(&self, segment: &Segment, bytes: u64) {
        self.1.checked(segment, bytes);
    }

    fn is_known(&self, _segment: SegmentId) -> bool {
        let delete = async {
            self.0.delete_topic("t", key("t", 0).topic_id).await.unwrap();
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(delete));
        false
    }

    fn inspect(&self, segment: &Segment) -> Option<Box<dyn LogInspector>> {
        self.1.inspect(segment)
    }

    fn partitions(&self, done: u64, of: u64) {
        self.1.partitions(done, of);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_it_is_looked_at_is_no_finding() {
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    for n in 0..3 {
        let segment = fixture.make(&key("t", 0), n * 10, n * 10 + 9, 1_000).upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
    }
    let watch = Deletes(std::sync::Arc::clone(&tiering), Watch::default());
    let options =
        CheckOptions { scope: Scope::All, deep: true, gaps: true, min_age: Duration::ZERO };
    tiering.check(&options, &watch).await.unwrap();
    assert_eq!(watch.1.found.into_inner(), []);
    assert!(watch.1.checked.into_inner().is_empty(), "it was gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_or_lists_nothing_is_no_finding() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    fixture.make(&key("t", 0), 0, 9, 1_000).upload(&tiering).await;
    for _ in 0..2 {
        store.order(Call::List, "", Fault::Empty, 8);
        assert_eq!(findings(&tiering, false).await, [], "each object was asked for by name");
    }
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    fixture.make(&key("t", 0), 0, 9, 1_000).upload(&tiering).await;
    store.order(Call::Get, ".index", Fault::Unavailable, 1);
    let watch = Watch::default();
    assert!(matches!(check(&tiering, false, &watch).await, Err(CheckError::Store(_))));
    store.order(Call::Get, "marker.json", Fault::NotFound, 1);
    assert!(matches!(check(&tiering, false, &watch).await, Err(CheckError::Vouch(_))));
    assert!(watch.found.into_inner().is_empty());
}
