//! What a question costs must not grow with the history: SQLite's own steps are counted, with as many
//! rows as would show.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use rusqlite::{Connection, ffi};

use super::model_test::{partition, segment};
use super::*;
use crate::segment::{LocalState, RemoteState};

/// Rows of each partition in the large manifest; a question that walks them takes as many steps.
const ROWS: i64 = 5000;
/// More than any question below takes, whatever the number of rows.
const STEPS_MAX: u32 = 500;

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

unsafe extern "C" fn count(_: *mut c_void) -> c_int {
    STEPS.set(STEPS.get() + 1);
    0
}

/// One partition of live rows, and one whose rows are all being deleted.
fn large(folder: &tempfile::TempDir) -> Connection {
    let path = folder.path().join("manifest.db");
    let writer = connection::open_writer(&path).unwrap();
    writer.execute_batch("BEGIN").unwrap();
    let live = |base| Segment {
        local: LocalState::Gone,
        remote: RemoteState::Live,
        ..segment(base, base + 9)
    };
    for base in (0..ROWS).map(|n| n * 10) {
        row::write(&writer, &live(base), 1).unwrap();
        let deleting = Segment { partition: other(), remote: RemoteState::Deleting, ..live(base) };
        row::write(&writer, &deleting, 1).unwrap();
    }
    writer.execute_batch("COMMIT").unwrap();
    let reader = connection::open_reader(&path).unwrap();
    // SAFETY: the handle is open, and the callback needs nothing.
    unsafe {
        ffi::sqlite3_progress_handler(reader.handle(), 1, Some(count), std::ptr::null_mut());
    }
    reader
}

fn other() -> PartitionKey {
    PartitionKey { partition: 7, ..partition() }
}

fn steps<T>(reader: &Connection, query: impl Fn(&Connection) -> Result<T, ManifestError>) -> u32 {
    // The first time, SQLite makes a plan of it as well.
    query(reader).unwrap();
    STEPS.set(0);
    query(reader).unwrap();
    STEPS.get()
}

#[test]
fn a_question_of_a_client_or_a_scrape_costs_the_same_whatever_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let reader = large(&folder);
    let (id, middle, end) = (partition().id(), Offset::new(ROWS * 5), Offset::new(ROWS * 10 - 1));
    let unfinished = Unfinished {
        state: RemoteState::Deleting,
        changed_before_ms: i64::MAX,
        partition: Some(id),
        limit: 100,
        skip: 0,
    };
    let times = query::times(&reader, id).unwrap().expect("a long partition");
    let early = times.block_of(middle.get()).expect("a row that is late enough");
    let costs = [
        ("floor", steps(&reader, |c| query::floor(c, id, middle))),
        ("last", steps(&reader, |c| query::floor(c, id, Offset::MAX))),
        ("next after", steps(&reader, |c| query::next_after(c, id, middle))),
        ("at", steps(&reader, |c| query::at(c, id, middle))),
        ("by time, late", steps(&reader, |c| query::by_time(c, id, end.get()))),
        ("by time, early", steps(&reader, |c| query::by_time_in(c, id, &early, middle.get()))),
        ("bounds", steps(&reader, |c| sums::bounds(c, id))),
        ("totals", steps(&reader, sums::totals)),
        ("sums", steps(&reader, sums::of_topics)),
        ("partitions", steps(&reader, query::partitions)),
        ("unfinished in a partition", steps(&reader, |c| query::unfinished(c, &unfinished))),
    ];
    let dear: Vec<_> = costs.iter().filter(|(_, steps)| *steps > STEPS_MAX).collect();
    assert!(dear.is_empty(), "more than {STEPS_MAX} steps: {dear:?}");
    let all = RowRange { from: Offset::ZERO, to: Offset::MAX, remote: None, limit: 5000 };
    let walk = steps(&reader, |c| query::rows(c, id, &all));
    let walks = [walk, steps(&reader, |c| query::by_time(c, id, middle.get()))];
    assert!(
        walks.iter().all(|walk| *walk > STEPS_MAX),
        "a walk over all rows would show, and takes {walks:?}"
    );
}
