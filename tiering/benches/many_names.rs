//! How long the manifest of a bucket with many segments takes to come back from names alone.
//!
//! `cargo bench -p icecore-tiering --bench many_names` makes a store in memory, so that what is
//! measured is this crate's own work: reading names, resolving overlaps, writing rows. A real
//! store's lists come on top, a thousand names for each request, sixteen partitions at a time.
//! `SEGMENTS` (1,000,000) and `PARTITIONS` (100) set the size.

use std::sync::Arc;
use std::time::Instant;

use icecore_tiering::{
    Headers, LeaderEpoch, ObjectName, ObjectPart, Offset, Scope, SegmentId, Store, StoreSettings,
    SystemClock, Tiering, TieringConfig, TopicId,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (segments, partitions) = (number("SEGMENTS", 1_000_000), number("PARTITIONS", 100));
    let folder = tempfile::tempdir()?;
    let objects = Arc::new(InMemory::new());
    let settings = StoreSettings::new("memory://");
    let (manifest, cache) = (folder.path().join("manifest.db"), folder.path().join("cache"));
    let config = TieringConfig::new(settings.clone(), "cluster", manifest, cache);
    let store = Store::over(objects.clone(), settings);
    let tiering = Tiering::open_over(config, store, Arc::new(SystemClock)).await?;

    let began = Instant::now();
    for partition in 0..partitions {
        let topic = TopicId::from_bytes(u128::from(partition).to_be_bytes());
        let of_partition = segments / partitions;
        for segment in 0..of_partition {
            let id = u128::from(partition * of_partition + segment).to_be_bytes();
            let base = i64::try_from(segment * 1000)?;
            for part in [ObjectPart::Index, ObjectPart::Log] {
                let name = ObjectName {
                    base: Offset::new(base),
                    end: Offset::new(base + 999),
                    max_timestamp_ms: base,
                    leader_epoch: LeaderEpoch::ZERO,
                    segment_id: SegmentId::from_bytes(id),
                    part,
                };
                let path = format!("cluster/topics/t{partition}.{}/0/{name}", topic.to_hex());
                objects.put(&Path::from(path), PutPayload::from_static(b"x")).await?;
            }
        }
    }
    println!("{} names made in {:.1} s", segments * 2, began.elapsed().as_secs_f32());

    let began = Instant::now();
    let report = tiering.rebuild(&Scope::All, &[], Headers::Ends, &|_| ()).await?;
    let took = began.elapsed().as_secs_f32();
    println!("{} rows of {} partitions in {took:.1} s", report.live, report.partitions.len());
    tiering.close().await;
    Ok(())
}
