//! Several processes with one cache folder, each with a store, a manifest and a counter of requests of
//! its own, and what is left when one of them is killed.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use icecore_tiering::{Offset, Segment, Tiering};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tempfile::TempDir;

use crate::fixture::{Fixture, bytes_of, key, noise};
use crate::shaped::{Shape, ShapedStore};

/// The folder of what the processes share, for one that is started by a test.
const SHARED: &str = "ICECORE_SHARED_CACHE";
/// What is the process's own in there.
const OWN: &str = "ICECORE_SHARED_CACHE_OWN";
/// Mounts, network, processes and host name of its own, as a container has them, and the shared cache
/// below a path of its own.
const CONTAINER: &[&str] = &[
    "unshare",
    "--mount",
    "--net",
    "--uts",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-ec",
    r#"own="$ICECORE_SHARED_CACHE/$ICECORE_SHARED_CACHE_OWN/cache"
       mkdir -p "$ICECORE_SHARED_CACHE/cache" "$own"
       mount --bind "$ICECORE_SHARED_CACHE/cache" "$own"
       exec "$@""#,
    "sh",
];

const MIB: u64 = 1 << 20;
const CHUNK: u64 = 256 << 10;
const SEGMENTS: i64 = 4;
const SEGMENT_BYTES: u64 = 6 * MIB + 4321;
const ALL_BYTES: u64 = SEGMENTS as u64 * SEGMENT_BYTES;
const CACHE_BYTES: u64 = 64 * MIB;
const SOON: Duration = Duration::from_secs(60);

/// Far enough that two processes are at the same bytes together.
const SHAPE: Shape = Shape {
    first_byte: Duration::from_millis(20),
    stream_bytes_per_second: 20e6,
    total_bytes_per_second: 60e6,
};

/// A history in a store, a cache folder, and the manifest that each process gets a copy of.
struct Shared {
    folder: TempDir,
}

impl Shared {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let fixture = Fixture::over(store(folder.path()));
        let tiering = fixture.open().await;
        for number in 0..SEGMENTS {
            let (base, end) = (number * 10, number * 10 + 9);
            let made = fixture.make(&key("t", 0), base, end, SEGMENT_BYTES as usize);
            let segment = made.upload(&tiering).await;
            tiering.local_gone(&segment).await.unwrap();
        }
        tiering.close().await;
        drop(tiering);
        std::fs::copy(&fixture.config.manifest_path, folder.path().join("manifest.db")).unwrap();
        Self { folder }
    }

    fn start(&self, name: &str) -> Process {
        Process::start(self.folder.path(), name, &[])
    }

    fn start_in_a_container(&self, name: &str) -> Process {
        Process::start(self.folder.path(), name, CONTAINER)
    }
}

fn store(folder: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new_with_prefix(folder.join("store")).unwrap())
}

/// What a process says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    is_guest: bool,
    log_gets: u64,
    index_gets: u64,
    fetched_bytes: u64,
    shared_hits: u64,
    shared_flights: u64,
    fallbacks: u64,
    wrong: u64,
}

/// A process of this test binary; it ends with the value.
struct Process {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    to: ChildStdin,
}

impl Process {
    fn start(shared: &Path, own: &str, within: &[&str]) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut words = within.iter().map(OsStr::new).chain([this.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["--exact", "processes::it_reads_when_it_is_told_to", "--nocapture"])
            .env(SHARED, shared)
            .env(OWN, own)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        let to = child.stdin.take().unwrap();
        let mut process = Self { child, says, to };
        process.told("open");
        process
    }

    fn ask(&mut self, what: &str) {
        writeln!(self.to, "{what}").unwrap();
    }

    /// What it says next of this kind: the words behind it.
    fn told(&mut self, what: &str) -> Vec<String> {
        loop {
            let line = self.says.next().expect("a process that goes on").unwrap();
            let mut words = line.split(' ').map(str::to_owned);
            if words.next().as_deref() == Some(what) {
                return words.collect();
            }
        }
    }

    /// Reads everything.
    fn read(&mut self) {
        self.ask("read");
        self.told("done");
    }

    fn status(&mut self) -> Told {
        self.ask("status");
        let words = self.told("status");
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        Told {
            is_guest: number(0) == 1,
            log_gets: number(1),
            index_gets: number(2),
            fetched_bytes: number(3),
            shared_hits: number(4),
            shared_flights: number(5),
            fallbacks: number(6),
            wrong: number(7),
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn becomes_owner(&mut self) {
        let deadline = Instant::now() + SOON;
        while self.status().is_guest {
            assert!(Instant::now() < deadline, "an owner in time");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All chunks of the history, once.
fn assert_fetched_once(told: &[Told]) {
    let bytes: u64 = told.iter().map(|told| told.fetched_bytes).sum();
    let indexes: u64 = told.iter().map(|told| told.index_gets).sum();
    assert_eq!(indexes, SEGMENTS as u64, "{told:?}");
    // Beside the log, the indexes: some hundred bytes each.
    assert!(
        (ALL_BYTES..ALL_BYTES + 64 * 1024).contains(&bytes),
        "{bytes} of {ALL_BYTES}: {told:?}"
    );
    for told in told {
        assert_eq!((told.fallbacks, told.wrong), (0, 0), "{told:?}");
    }
}

/// First the owner reads the history, then the guest, who finds all of it in the cache.
fn read_in_turn(owner: &mut Process, guest: &mut Process) -> [Told; 2] {
    owner.read();
    guest.read();
    let told = [owner.status(), guest.status()];
    assert_eq!(told.each_ref().map(|told| told.is_guest), [false, true]);
    assert_fetched_once(&told);
    assert_eq!(told[1].log_gets, 0, "{told:?}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_read_one_after_another_fetch_each_byte_once() {
    let shared = Shared::new().await;
    let (mut owner, mut guest) = (shared.start("a"), shared.start("b"));
    let told = read_in_turn(&mut owner, &mut guest);
    // A chunk that had to make room before its reader came is lent once more.
    let chunks_and_indexes = SEGMENTS as u64 * (SEGMENT_BYTES.div_ceil(CHUNK) + 1);
    assert!(told[1].shared_hits >= chunks_and_indexes, "{told:?}");
    let mut third = shared.start("c");
    third.read();
    assert_eq!((third.status().log_gets, third.status().index_gets), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_read_at_once_fetch_each_byte_once_for_all() {
    let shared = Shared::new().await;
    let mut processes = ["a", "b", "c"].map(|name| shared.start(name));
    processes.iter_mut().for_each(|process| process.ask("read"));
    processes.iter_mut().for_each(|process| drop(process.told("done")));
    let told = processes.each_mut().map(Process::status);
    assert_fetched_once(&told);
    assert!(told.iter().any(|told| told.shared_flights > 0), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_killed_is_followed_by_a_guest_that_has_all_that_it_had() {
    let shared = Shared::new().await;
    let (mut owner, mut guest) = (shared.start("a"), shared.start("b"));
    owner.read();
    guest.ask("read");
    // In the middle of it.
    guest.told("at");
    owner.kill();
    guest.told("done");
    guest.becomes_owner();
    let before = guest.status();
    guest.read();
    let after = guest.status();
    assert_eq!((after.log_gets, after.wrong), (before.log_gets, 0), "{after:?}");
    let mut third = shared.start("c");
    third.read();
    let told = third.status();
    assert!(told.is_guest && told.log_gets == 0 && told.index_gets == 0, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_while_all_fetch_cost_the_others_nothing_but_time() {
    let shared = Shared::new().await;
    let mut last = shared.start("last");
    for (name, killed_is_owner) in [("a", false), ("b", true)] {
        let mut other = shared.start(name);
        assert!(other.status().is_guest);
        last.ask("read");
        other.ask("read");
        last.told("at");
        match killed_is_owner {
            false => other.kill(),
            true => {
                last.kill();
                other.told("done");
                other.becomes_owner();
                last = other;
                continue;
            }
        }
        last.told("done");
        assert_eq!(last.status().wrong, 0);
        std::fs::remove_dir_all(shared.folder.path().join(name)).unwrap();
    }
    let before = last.status();
    last.read();
    assert_eq!(last.status().log_gets, before.log_gets, "all of it is there now");
}

/// As two pods of one node that mount one folder of it.
#[tokio::test(flavor = "multi_thread")]
async fn processes_in_containers_of_their_own_share_the_cache_of_a_folder_that_all_of_them_mount() {
    let tried =
        Command::new(CONTAINER[0]).args(["--mount", "--net", "--pid", "--fork", "true"]).output();
    if !tried.is_ok_and(|done| done.status.success()) {
        eprintln!("not tried: this user cannot make namespaces");
        return;
    }
    let shared = Shared::new().await;
    let (mut owner, mut guest) =
        (shared.start_in_a_container("a"), shared.start_in_a_container("b"));
    read_in_turn(&mut owner, &mut guest);
    owner.kill();
    guest.becomes_owner();
    guest.read();
    assert_eq!(guest.status().log_gets, 0);
    let mut outside = shared.start("c");
    outside.read();
    assert_eq!((outside.status().is_guest, outside.status().log_gets), (true, 0));
}

#[test]
fn it_reads_when_it_is_told_to() {
    let (Some(shared), Some(own)) = (std::env::var_os(SHARED), std::env::var_os(OWN)) else {
        return;
    };
    let shared = PathBuf::from(shared);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(&shared, &shared.join(own)));
}

/// The process above.
async fn serve(shared: &Path, own: &Path) {
    std::fs::create_dir_all(own).unwrap();
    std::fs::copy(shared.join("manifest.db"), own.join("manifest.db")).unwrap();
    let objects = InMemory::new();
    let found: Vec<_> = store(shared).list(None).try_collect().await.unwrap();
    for object in found {
        let bytes = store(shared).get(&object.location).await.unwrap().bytes().await.unwrap();
        objects.put(&object.location, bytes.into()).await.unwrap();
    }
    let mut fixture = Fixture::over(Arc::new(ShapedStore::over(Arc::new(objects), SHAPE)));
    fixture.config.manifest_path = own.join("manifest.db");
    let mounted = own.join("cache");
    fixture.config.cache_dir = if mounted.exists() { mounted } else { shared.join("cache") };
    fixture.config.cache_bytes = CACHE_BYTES;
    // What the machine is busy with is no matter of these tests.
    fixture.config.cache_patience = SOON;
    fixture.config.store.read_only = true;
    let tiering = fixture.open().await;
    println!("\nopen");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "read" => read(&tiering).await,
            _ => tell(&tiering),
        }
    }
}

/// Goes through the history as a consumer does. Every byte of it must be right.
async fn read(tiering: &Tiering) {
    for number in 0..SEGMENTS {
        let segment = tiering.find(&key("t", 0), Offset::new(number * 10)).await.unwrap().unwrap();
        let log = noise((number as u64 * 10 + 1) * 1_000_003, SEGMENT_BYTES as usize);
        read_segment(tiering, &segment, &log).await;
    }
    println!("\ndone");
}

async fn read_segment(tiering: &Tiering, segment: &Segment, log: &[u8]) {
    let mut at = 0;
    while at < segment.size {
        let end = segment.size.min(at + MIB);
        let wanted = icecore_tiering::Wanted {
            range: at..end,
            enough: at + 1,
            look_from: at,
            is_search: false,
        };
        let slices = tiering.read(segment, wanted).await.unwrap();
        let bytes = bytes_of(&slices);
        assert!(!bytes.is_empty() && log[at as usize..].starts_with(&bytes), "wrong bytes at {at}");
        at += bytes.len() as u64;
        println!("\nat {at}");
    }
}

fn tell(tiering: &Tiering) {
    let counted = tiering.counters();
    println!(
        "\nstatus {} {} {} {} {} {} {} {}",
        u8::from(tiering.is_cache_guest()),
        counted.log_gets,
        counted.index_gets,
        counted.replay_bytes,
        counted.shared_hits,
        counted.shared_flights,
        counted.guest_fallbacks,
        counted.wrong_chunks
    );
}
