//! Random seeks into a long history: what they take and what they cost.
//!
//! 100,000 segments of one partition lie in a store that is 50 ms away; of none is anything cached.
//! A reader jumps to 10,000 of them, by offset and by time in turn, 32 jumps at a time, and is given
//! the first records there. Each jump needs two requests, one for the segment's indexes and one for
//! its records: where there are twice as many requests as jumps, none took a third.
//!
//! `cargo bench --bench seeks` (or `--profile perf`, which builds faster).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use icecore::log::{Log, LogConfig, LogEnv, OpenAt, Tier, TieredLog};
use icecore::model::Offset;
use icecore::record::{BatchBuilder, Codec, NewRecord};
use icecore_tiering::{
    LeaderEpoch, PartitionKey, Parts, Segment, Store, StoreSettings, SystemClock, Tiering,
    TieringConfig, TopicId, Verify,
};
use object_store::memory::InMemory;

#[path = "../tiering/tests/tiering/shaped.rs"]
mod shaped;
use shaped::{Shape, ShapedStore};

const SEGMENTS: i64 = 100_000;
const BATCHES: i64 = 4;
const RECORDS: i64 = 10;
/// Offsets of a segment.
const SPAN: i64 = BATCHES * RECORDS;
const SEEKS: i64 = 10_000;
const AT_A_TIME: usize = 32;
const FIRST_BYTE: Duration = Duration::from_millis(50);
/// What a consumer asks for by default.
const READ_BYTES: usize = 1 << 20;
const SHAPE: Shape =
    Shape { first_byte: FIRST_BYTE, stream_bytes_per_second: 80e6, total_bytes_per_second: 400e6 };

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let store = ShapedStore::over(Arc::new(InMemory::new()), SHAPE);
        let tiering = open(folder.path(), &store).await?;
        let key = PartitionKey::new("history", TopicId::from_bytes([7; 16]), 0);
        let began = Instant::now();
        stream::iter(0..SEGMENTS)
            .map(|number| upload(folder.path(), &tiering, &key, number))
            .buffer_unordered(64)
            .try_collect::<Vec<()>>()
            .await?;
        println!("{SEGMENTS} segments, made in {:.0} s", began.elapsed().as_secs_f64());
        let end = Offset::new(SEGMENTS * SPAN);
        let at = OpenAt { empty_start: end, clean: true, ..OpenAt::default() };
        let local = folder.path().join("history-0");
        std::fs::create_dir(&local)?;
        let (local, _) = Log::open(&local, LogConfig::default(), at, LogEnv::real())?;
        let tier = Tier { tiering, key };
        let log = Arc::new(TieredLog::new(Arc::new(local), Some(tier), Some(end)));
        seek_all(&log, &store).await
    })
}

async fn open(folder: &std::path::Path, store: &ShapedStore) -> Result<Arc<Tiering>> {
    let mut settings = StoreSettings::new("memory://");
    settings.verify = Some(Verify::Size);
    let (manifest, cache) = (folder.join("manifest.db"), folder.join("cache"));
    let mut config = TieringConfig::new(settings.clone(), "bench", manifest, cache);
    config.uploads_max = 64;
    let store = Store::over(Arc::new(store.clone()), settings);
    Ok(Tiering::open_over(config, store, Arc::new(SystemClock)).await?)
}

/// A segment whose records are a second apart, in the store alone.
async fn upload(
    folder: &std::path::Path,
    tiering: &Tiering,
    key: &PartitionKey,
    number: i64,
) -> Result<()> {
    let base = number * SPAN;
    let (mut log, mut offsets, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for first in (base..base + SPAN).step_by(RECORDS.unsigned_abs() as usize) {
        let (last, position) = (first + RECORDS - 1, u32::try_from(log.len())?);
        let relative = u32::try_from(last - base)?.to_be_bytes();
        if first > base {
            offsets.extend(relative);
            offsets.extend(position.to_be_bytes());
        }
        times.extend((last * 1000).to_be_bytes());
        times.extend(relative);
        log.extend(batch(first)?);
    }
    let path = folder.join(format!("{number}.log"));
    std::fs::write(&path, &log)?;
    let epoch = LeaderEpoch::new(0);
    let end = base + SPAN - 1;
    let segment = Segment::sealed(
        key.clone(),
        (Offset::new(base), Offset::new(end)),
        (base * 1000, end * 1000),
        log.len() as u64,
        epoch,
        vec![(epoch, Offset::new(base))],
        0,
    );
    let parts = Parts {
        log: path.clone(),
        offset_index: offsets.into(),
        time_index: times.into(),
        txn_index: Bytes::new(),
        producer_snapshot: Bytes::new(),
        leader_epochs: Bytes::new(),
    };
    tiering.record_sealed(&segment).await?;
    tiering.offload(&segment, parts).await?;
    tiering.local_gone(&segment).await?;
    Ok(std::fs::remove_file(&path)?)
}

/// A batch of records of 100 bytes from an offset on.
fn batch(first: i64) -> Result<Vec<u8>> {
    let mut builder = BatchBuilder::new(Codec::None);
    for offset in first..first + RECORDS {
        let value = [0x5a; 100];
        let timestamp_ms = offset * 1000;
        builder.push(&NewRecord { timestamp_ms, value: Some(&value), ..Default::default() });
    }
    let mut bytes = builder.build()?.bytes().to_vec();
    // The base offset is the broker's to set, and in no checksum.
    bytes[..8].copy_from_slice(&first.to_be_bytes());
    Ok(bytes)
}

async fn seek_all(log: &Arc<TieredLog>, store: &ShapedStore) -> Result<()> {
    for by_time in [false, true] {
        store.count_anew();
        let took: Vec<Duration> = stream::iter(0..SEEKS / 2)
            .map(|seek| {
                let log = log.clone();
                // Each segment once, in an order of its own: first those of even numbers.
                let number = (seek * 7919 % (SEGMENTS / 2)) * 2 + i64::from(by_time);
                tokio::spawn(seek_one(log, number * SPAN + seek % SPAN, by_time))
            })
            .buffer_unordered(AT_A_TIME)
            .map(|seek| seek.context("a seek ends")?)
            .try_collect()
            .await?;
        report(if by_time { "time" } else { "offset" }, took, store)?;
    }
    Ok(())
}

/// Jumps to an offset, or to its time, and reads there.
async fn seek_one(log: Arc<TieredLog>, offset: i64, by_time: bool) -> Result<Duration> {
    let (wanted, end) = (Offset::new(offset), log.local().log_end());
    let began = Instant::now();
    let from = match by_time {
        false => wanted,
        true => log.offset_for_timestamp(offset * 1000).await?.context("a record")?.offset,
    };
    ensure!(from == wanted, "{from:?} was found for the time of {wanted:?}");
    let read = log.read(from, READ_BYTES, end, true).await?;
    ensure!(!read.slices.is_empty(), "records at {wanted:?}");
    Ok(began.elapsed())
}

fn report(by: &str, mut took: Vec<Duration>, store: &ShapedStore) -> Result<()> {
    took.sort_unstable();
    let lists = store.counts.lists.load(std::sync::atomic::Ordering::SeqCst);
    println!("{} seeks by {by}:", took.len());
    for per_mille in [500, 990, 999, 1000] {
        let took = took[(took.len() - 1) * per_mille / 1000].as_secs_f64();
        let trips = took / FIRST_BYTE.as_secs_f64();
        println!("  p{}: {:.1} ms = {trips:.2} round trips", per_mille as f64 / 10.0, took * 1e3);
    }
    let each = |sum: u64| sum as f64 / took.len() as f64;
    let (gets, kib) = (each(store.gets()), each(store.bytes()) / 1024.0);
    println!("  requests: {gets} a seek (goal: at most 2), {kib:.1} KiB a seek, lists: {lists}");
    ensure!(store.gets() == 2 * took.len() as u64, "a seek took more than two requests");
    ensure!(lists == 0, "a seek listed the store");
    Ok(())
}
