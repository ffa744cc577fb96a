//! What lies on the disk and in the store: all that belongs there, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};

use super::broker::{Broker, Gone};
use super::history::History;
use super::workload::{LOOK, PATIENCE};

/// The settings' `cluster.id`, part of every object's name.
pub(crate) const CLUSTER: &str = "steps";

/// Which parts each segment in the store has, by its id.
type Segments = BTreeMap<String, BTreeSet<String>>;

/// Waits until collections have made the store and the manifest agree.
pub(crate) fn check_store(root: &Path, broker: &mut Broker) -> Result<(), Gone> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Rows first: an object comes after its row and goes before it.
        let (rows, objects) = (rows(root), objects(root));
        if rows == objects {
            return Ok(());
        }
        broker.must_live()?;
        std::thread::sleep(LOOK);
        assert!(
            Instant::now() < until,
            "rows of the manifest: {rows:#?}\nfiles in the store: {objects:#?}"
        );
    }
}

/// All segments that are, were or shall be in the store. Those of one that is not live are told.
fn rows(root: &Path) -> Segments {
    let file = root.join("manifest.db");
    let manifest = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let manifest = manifest.expect("a manifest");
    let query = "SELECT lower(hex(segment_id)), remote_state FROM segments WHERE remote_state > 0";
    let mut statement = manifest.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| {
        let (id, state): (String, i64) = (row.get(0)?, row.get(1)?);
        let parts = match state {
            2 => BTreeSet::from(["index".to_owned(), "log".to_owned()]),
            other => BTreeSet::from([format!("in state {other}")]),
        };
        Ok((id, parts))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

/// Every file in the store beside the store's own, whatever its name.
fn objects(root: &Path) -> Segments {
    let mut objects = Segments::new();
    let mut folders = vec![root.join("store").join(CLUSTER).join("topics")];
    while let Some(folder) = folders.pop() {
        // It may go while we look.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.map_while(Result::ok) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let (stem, part) = name.rsplit_once('.').unwrap_or((&name, ""));
            let id = stem.rsplit('-').next().unwrap_or_default().to_owned();
            objects.entry(id).or_default().insert(part.to_owned());
        }
    }
    objects
}

/// Looks for files that are no part of a log, after an orderly end.
pub(crate) fn check_disk(root: &Path, history: &History) {
    let log = root.join("log");
    let mut stray = Vec::new();
    for entry in names(&log) {
        let path = log.join(&entry);
        if !path.is_dir() {
            let known = [
                ".kafka_cleanshutdown",
                "log-start-offset-checkpoint",
                "recovery-point-offset-checkpoint",
                "replication-offset-checkpoint",
            ];
            stray.extend((!known.contains(&&entry[..])).then_some(entry));
        } else if is_partition(&entry, history) {
            stray.extend(strays(&path).into_iter().map(|name| format!("{entry}/{name}")));
        } else {
            stray.push(entry);
        }
    }
    assert!(stray.is_empty(), "files that are no part of a log: {stray:#?}");
}

fn is_partition(folder: &str, history: &History) -> bool {
    let Some((topic, number)) = folder.rsplit_once('-') else { return false };
    let known = history.topics.get(topic).map(|topic| topic.partitions.len());
    let count = if topic == "__consumer_offsets" { Some(usize::MAX) } else { known };
    number.parse::<usize>().is_ok_and(|number| Some(number) < count)
}

/// Files in a partition's folder that belong to no segment.
fn strays(folder: &Path) -> Vec<String> {
    let names = names(folder);
    let segments: BTreeSet<String> =
        names.iter().filter_map(|name| name.strip_suffix(".log").map(str::to_owned)).collect();
    let belongs = |name: &String| match name.rsplit_once('.') {
        Some(("partition", "metadata")) => true,
        Some((_, "log")) => true,
        Some((base, "index" | "timeindex" | "txnindex")) => segments.contains(base),
        // One is at the log's end, where no segment may begin yet.
        Some((base, "snapshot")) => Some(base) >= segments.first().map(|first| &first[..]),
        _ => name == "leader-epoch-checkpoint",
    };
    names.into_iter().filter(|name| !belongs(name)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}
