//! What the broker tells its clients, against what they know.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use icecore::wire::messages::metadata::MetadataRequest;
use icecore::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

use super::client::Client;
use super::history::{History, Record};
use super::workload::{GROUP, find_coordinator, when_loaded};

/// Compares topics, every record of every partition, and committed offsets.
pub(crate) fn check(client: &mut Client, history: &History) -> io::Result<()> {
    let found = topics(client)?;
    for name in &found {
        assert!(history.topics.contains_key(&name[..]), "{name} was deleted, and is back");
    }
    for (name, topic) in &history.topics {
        if !found.contains(*name) {
            assert!(topic.uncertain, "{name} is gone");
            continue;
        }
        for (index, number) in (0..topic.partitions.len()).zip(0..) {
            let (start, records) = read(client, name, number)?;
            topic.check(name, index, start, &records);
        }
    }
    let found = committed(client)?;
    for (of, offset) in &history.committed {
        let asked = history.committing.get(of);
        let told = found.get(&(of.0.to_owned(), of.1));
        assert!(
            told == Some(offset) || (told.is_some() && told == asked),
            "committed for {of:?}: {offset}, asked for: {asked:?}, there: {told:?}"
        );
    }
    Ok(())
}

/// Where a partition begins, and its records.
fn read(client: &mut Client, topic: &str, partition: i32) -> io::Result<(i64, Vec<(i64, Record)>)> {
    loop {
        let (start, end) = client.bounds(topic, partition)?;
        // Retention may have moved the start meanwhile: at most a few times.
        if let Some(records) = client.read(topic, partition, start, end)? {
            return Ok((start, records));
        }
    }
}

/// The names of all topics that clients have made.
fn topics(client: &mut Client) -> io::Result<BTreeSet<String>> {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    client.ask(9, &request, |answer| {
        let ours = answer.topics.iter().filter(|topic| !topic.is_internal);
        ours.filter_map(|topic| topic.name.as_ref().map(|name| name.to_string())).collect()
    })
}

fn committed(client: &mut Client) -> io::Result<BTreeMap<(String, i32), i64>> {
    let mut offsets = BTreeMap::new();
    let group =
        OffsetFetchRequestGroup { group_id: GROUP.into(), topics: None, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    find_coordinator(client)?;
    when_loaded(|| {
        client.ask(8, &request, |answer| {
            let group = &answer.groups[0];
            for topic in &group.topics {
                for partition in &topic.partitions {
                    let of = (topic.name.to_string(), partition.partition_index);
                    offsets.insert(of, partition.committed_offset);
                }
            }
            group.error_code
        })
    })?;
    Ok(offsets)
}
