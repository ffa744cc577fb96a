//! Reads everything back and compares it record by record with what was sent.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use super::records::{Made, Plan, fits};
use crate::cli::client::{Batches, Fetcher, Topic};
use crate::model::Offset;
use crate::record::Record;

/// What came back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) records: u64,
    bytes: u64,
}

/// Replays all partitions from the beginning; the first difference is an error. `told` hears the
/// bytes so far.
pub(super) async fn replay(
    topic: &Topic,
    plan: Plan,
    mut told: impl FnMut(u64),
) -> anyhow::Result<Tally> {
    let starts: BTreeMap<_, _> =
        topic.chosen(None)?.into_iter().map(|partition| (partition, Offset::ZERO)).collect();
    let mut fetcher = Fetcher::open(topic, starts).await?;
    let (mut tally, mut made) = (Tally::default(), Made::default());
    while !fetcher.is_finished() {
        let fetched = fetcher.fetch().await?;
        if fetched.is_empty() {
            bail!(
                "the log ends before all records came back: {} are missing",
                plan.records() - tally.records
            );
        }
        for fetched in fetched {
            let partition = fetched.partition;
            let name = format!("{}-{partition}", topic.name);
            for batch in Batches::new(&name, fetched.batches) {
                for record in batch?.records(&name) {
                    let record = record?;
                    let due = fetcher.next().get(&partition).copied().unwrap_or_default();
                    // A batch may begin before what was asked for.
                    if record.offset < due {
                        continue;
                    }
                    compare(&mut made, plan, partition, due, &record)?;
                    tally.records += 1;
                    tally.bytes += record.value.map_or(0, |value| value.len() as u64);
                    fetcher.advance(partition, due.next());
                }
            }
            if fetcher.next().get(&partition).is_some_and(|n| n.get() >= plan.records_each) {
                fetcher.finish(partition);
            }
            told(tally.bytes);
        }
    }
    Ok(tally)
}

fn compare(
    made: &mut Made,
    plan: Plan,
    partition: i32,
    due: Offset,
    record: &Record,
) -> anyhow::Result<()> {
    let offset = record.offset;
    ensure!(offset == due, "partition {partition}: offset {offset} came where {due} was due");
    let at = format!("partition {partition}, offset {offset}");
    let (key, value) =
        (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
    ensure!(fits(key, value), "{at}: the record does not fit its checksum");
    made.make(partition, offset.get());
    ensure!(key == made.key.as_bytes(), "{at}: the key is another");
    ensure!(value == made.value, "{at}: the value is another");
    let timestamp_ms = plan.timestamp_ms(offset.get());
    ensure!(record.timestamp_ms == timestamp_ms, "{at}: the time is another");
    Ok(())
}
