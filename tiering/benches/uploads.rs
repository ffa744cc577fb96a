//! How long uploads take in a store, one by one and side by side, by the size of a segment.
//!
//! ```sh
//! cargo xtask stores cargo bench --profile dev -p icecore-tiering --bench uploads
//! ```
//! It takes the HDFS that the environment names, or the store whose URL is the first argument.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use icecore_tiering::{
    LeaderEpoch, Offset, PartitionKey, Parts, Segment, StoreSettings, SystemClock, Tiering,
    TieringConfig, TopicId,
};

/// Bytes of a segment, and how many of them.
const SEGMENTS: [(u64, i64); 4] = [(1 << 20, 16), (16 << 20, 16), (64 << 20, 8), (256 << 20, 4)];
const SIDE_BY_SIDE: [usize; 3] = [1, 4, 8];

#[tokio::main]
async fn main() -> Result<()> {
    let given = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let url = given.or_else(|| std::env::var("ICECORE_TEST_HDFS_URL").ok());
    let url = url.context("name a store, or set ICECORE_TEST_HDFS_URL")?;
    println!("uploads into {url}\n");
    println!("| segment | uploads at a time | each, s | all together, MiB/s |");
    println!("|---|---|---|---|");
    for (bytes, count) in SEGMENTS {
        for at_a_time in SIDE_BY_SIDE {
            let took = upload(&url, bytes, count, at_a_time).await?;
            let mib = bytes * count.unsigned_abs() >> 20;
            println!(
                "| {} MiB | {at_a_time} | {:.2} | {:.1} |",
                bytes >> 20,
                took.as_secs_f64() * at_a_time as f64 / count as f64,
                mib as f64 / took.as_secs_f64(),
            );
        }
    }
    Ok(())
}

/// How long it takes to upload `count` segments.
async fn upload(url: &str, bytes: u64, count: i64, at_a_time: usize) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("segment.log");
    std::fs::write(&log, vec![7; usize::try_from(bytes)?])?;
    let store = StoreSettings::new(format!("{url}/{}", uuid::Uuid::new_v4().simple()));
    let (manifest, cache) = (folder.path().join("manifest.db"), folder.path().join("cache"));
    let mut config = TieringConfig::new(store, "bench", manifest, cache);
    config.uploads_max = at_a_time;
    let tiering = Tiering::open(config, Arc::new(SystemClock)).await?;
    let partition = PartitionKey::new("t", TopicId::random(), 0);
    let segments: Vec<_> = (0..count).map(|n| segment(&partition, n, bytes)).collect();
    for segment in &segments {
        tiering.record_sealed(segment).await?;
    }
    let began = Instant::now();
    let uploads = segments.iter().map(|segment| tiering.offload(segment, parts(&log)));
    futures::future::try_join_all(uploads).await?;
    let took = began.elapsed();
    tiering.delete_topic("t", partition.topic_id).await?;
    tiering.close().await;
    Ok(took)
}

fn segment(partition: &PartitionKey, n: i64, bytes: u64) -> Segment {
    let (base, end) = (Offset::new(n * 10), Offset::new(n * 10 + 9));
    let epochs = vec![(LeaderEpoch::ZERO, base)];
    Segment::sealed(partition.clone(), (base, end), (0, 0), bytes, LeaderEpoch::ZERO, epochs, 0)
}

fn parts(log: &Path) -> Parts {
    Parts {
        log: log.to_owned(),
        offset_index: Bytes::new(),
        time_index: Bytes::new(),
        txn_index: Bytes::new(),
        producer_snapshot: Bytes::new(),
        leader_epochs: Bytes::new(),
    }
}
