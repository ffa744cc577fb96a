//! What a manifest with many segments costs: its opening, its memory, and a lookup in it.
//!
//! `cargo bench -p icecore-tiering --bench many_rows` fills a manifest with rows by SQL, opens it as
//! a start does, and looks up random offsets of random partitions, one after the other, and random times of
//! ten partitions. Then it asks what every partition has, as `/v1/partitions` does, ends the oldest segments of one, and closes while the
//! same waits in ten more. `ROWS` (1,000,000 and 10,000,000), `PARTITIONS` (1000) and `LOOKUPS` (100,000)
//! set the size.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use icecore_tiering::{
    Offset, PartitionKey, Retention, Store, StoreSettings, SystemClock, Tiering, TieringConfig,
    TopicId,
};
use object_store::memory::InMemory;
use rusqlite::Connection;

/// Records of each segment.
const RECORDS: i64 = 1000;

type Failed = Box<dyn std::error::Error>;

fn number(name: &str, default: i64) -> i64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    if let Ok(path) = std::env::var("FILL") {
        return fill(Path::new(&path), number("ROWS", 0), number("PARTITIONS", 1000));
    }
    match number("ROWS", 0) {
        0 => {
            measure(1_000_000).await?;
            measure(10_000_000).await
        }
        rows => measure(rows).await,
    }
}

async fn measure(rows: i64) -> Result<(), Failed> {
    let partitions = number("PARTITIONS", 1000);
    let folder = tempfile::tempdir()?;
    let objects = Arc::new(InMemory::new());
    open(folder.path(), &objects).await?.close().await;
    let path = folder.path().join("manifest.db");
    // By a process of its own, so that this one's memory is that of a broker.
    let filled = Command::new(std::env::current_exe()?)
        .env("FILL", &path)
        .env("ROWS", rows.to_string())
        .env("PARTITIONS", partitions.to_string())
        .status()?;
    assert!(filled.success(), "the manifest is filled");
    let bytes = std::fs::metadata(&path)?.len();
    println!("{rows} rows of {partitions} partitions, {} MiB on disk", bytes >> 20);

    let (before, began) = (resident_kib()?, Instant::now());
    let tiering = open(folder.path(), &objects).await?;
    let topic = topic();
    for partition in 0..i32::try_from(partitions)? {
        // As a start does for each partition that it hosts.
        let last = tiering.last(&PartitionKey::new("t", topic, partition)).await?;
        assert!(last.is_some(), "every partition has rows");
    }
    let took = began.elapsed();
    let after = resident_kib()?;
    println!("  opened, and the end of each partition found, in {} ms", took.as_millis());
    println!("  resident memory: {before} KiB before, {after} KiB after");
    look_up(&tiering, rows / partitions, partitions).await?;
    look_up_times(&tiering, rows / partitions, partitions).await?;
    println!("  resident memory after the lookups: {} KiB", resident_kib()?);
    let began = Instant::now();
    for partition in 0..i32::try_from(partitions)? {
        let bounds = tiering.bounds(&PartitionKey::new("t", topic, partition)).await?;
        assert_eq!(bounds.segments, u64::try_from(rows / partitions)?);
    }
    println!("  what each partition has: {} ms", began.elapsed().as_millis());
    expire(&tiering).await
}

/// Retention of some partitions: of one to its end, of more until the process is told to end.
async fn expire(tiering: &Tiering) -> Result<(), Failed> {
    let retention = Retention { ms: Some(0), ..Retention::default() };
    let mut plans = Vec::new();
    for partition in 0..11 {
        let key = PartitionKey::new("t", topic(), partition);
        plans.push(tiering.plan_expiry(&key, retention, 0, i64::MAX).await?);
    }
    let (first, others) = plans.split_first().ok_or("no plan")?;
    let began = Instant::now();
    let gone = tiering.expire(first).await?;
    println!("  expiry of {} segments: {} ms", gone.segments, began.elapsed().as_millis());
    let mut waiting: Vec<_> = others.iter().map(|plan| Box::pin(tiering.expire(plan))).collect();
    for expiry in &mut waiting {
        assert!(futures::poll!(expiry).is_pending(), "it is queued");
    }
    drop(waiting);
    let began = Instant::now();
    tiering.close().await;
    println!("  closed, with ten more on their way, in {} ms", began.elapsed().as_millis());
    Ok(())
}

async fn open(folder: &Path, objects: &Arc<InMemory>) -> Result<Arc<Tiering>, Failed> {
    let settings = StoreSettings::new("memory://");
    let (manifest, cache) = (folder.join("manifest.db"), folder.join("cache"));
    let mut config = TieringConfig::new(settings.clone(), "cluster", manifest, cache);
    config.cache_bytes = 16 << 20;
    let store = Store::over(objects.clone(), settings);
    Ok(Tiering::open_over(config, store, Arc::new(SystemClock)).await?)
}

fn topic() -> TopicId {
    TopicId::from_bytes([7; 16])
}

/// Puts live rows into a manifest that was made.
fn fill(path: &Path, rows: i64, partitions: i64) -> Result<(), Failed> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -262_144)?;
    // An index is made faster of all rows than row by row.
    let indexes: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let transaction = connection.transaction()?;
    for (name, _) in &indexes {
        transaction.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let topic = *topic().as_bytes();
    transaction.execute("INSERT INTO topics (topic_id, name) VALUES (?1, 't')", [&topic])?;
    let insert = "WITH RECURSIVE
        p(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM p WHERE n + 1 < ?2),
        s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < ?3)
        INSERT INTO segments SELECT ?1, p.n, s.n * ?4, s.n * ?4 + ?4 - 1, s.n * ?4,
        s.n * ?4 + ?4 - 1, s.n, s.n + 1, 1048576, 0, zeroblob(12), randomblob(16), 1, s.n, s.n, 1, 2
        FROM p, s";
    transaction
        .execute(insert, rusqlite::params![topic, partitions, rows / partitions, RECORDS])?;
    for (_, sql) in &indexes {
        transaction.execute_batch(sql)?;
    }
    transaction.commit()?;
    Ok(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
}

async fn look_up(tiering: &Tiering, segments: i64, partitions: i64) -> Result<(), Failed> {
    let mut roll = dice();
    let mut took = Vec::new();
    for _ in 0..number("LOOKUPS", 100_000) {
        let key = PartitionKey::new("t", topic(), i32::try_from(roll(partitions)?)?);
        let offset = roll(segments * RECORDS)?;
        let began = Instant::now();
        let found = tiering.find(&key, Offset::new(offset)).await?;
        took.push(began.elapsed());
        let base = found.map(|segment| segment.base.get());
        assert_eq!(base, Some(offset - offset % RECORDS), "the segment that holds it");
    }
    tell("lookup", took)
}

/// Every segment is a millisecond later than the one before.
async fn look_up_times(tiering: &Tiering, segments: i64, partitions: i64) -> Result<(), Failed> {
    let mut roll = dice();
    let mut took = Vec::new();
    for _ in 0..number("LOOKUPS", 100_000) / 10 {
        let key = PartitionKey::new("t", topic(), i32::try_from(roll(partitions.min(10))?)?);
        let time = roll(segments)? + 1;
        let began = Instant::now();
        let found = tiering.find_by_time(&key, time).await?;
        took.push(began.elapsed());
        let base = found.map(|segment| segment.base.get());
        assert_eq!(base, Some((time - 1) * RECORDS), "the first that is late enough");
    }
    tell("lookup by time", took)
}

/// Numbers below a bound, the same ones each time.
fn dice() -> impl FnMut(i64) -> Result<i64, std::num::TryFromIntError> {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        i64::try_from(dice % below.unsigned_abs())
    }
}

fn tell(what: &str, mut took: Vec<Duration>) -> Result<(), Failed> {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1000).copied().unwrap_or_default();
    let sum: Duration = took.iter().sum();
    let mean = sum / u32::try_from(took.len())?;
    println!("  {what}: mean {mean:?}, median {:?}, p99 {:?}", at(500), at(990));
    Ok(())
}

/// Memory of this process that lies in RAM.
fn resident_kib() -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse()?)
}
