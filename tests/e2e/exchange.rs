//! Clients among each other.

use crate::harness::{
    Ack, Broker, Client, Place, Reading, Topic, Writing, assert_same, ledger, now_ms, read_ledger,
};

const CODECS: &str = "none,gzip,snappy,lz4,zstd";
const RECORDS: i64 = 10;

#[test]
fn every_client_reads_what_every_client_wrote() {
    let place = Place::new("exchange");
    let broker = Broker::start(&place, None, &[]);
    let topic = Topic::create(&place, &broker, "exchange", 2, &[("retention.ms", "-1")]);
    let start_ms = now_ms() - 3_600_000;
    let mut acks = Vec::new();
    for client in Client::ALL {
        let name = format!("{client:?}");
        let more = &[("--records", RECORDS.to_string())];
        topic.write(&place, client, &Writing { name: &name, codecs: CODECS, start_ms, more });
        let ledger = read_ledger(&ledger(&place, &name));
        assert_eq!(ledger.len(), 50, "{client:?}");
        // kcat sends with the time of sending, and cannot be told another.
        let own_time = |ack: &Ack| ack.timestamp == Some(start_ms + ack.number * 1000);
        assert!(client == Client::Kcat || ledger.iter().all(own_time), "{client:?}");
        acks.extend(ledger);
    }
    let ends = broker.ends("exchange");
    assert_eq!(ends.iter().sum::<i64>(), 200);
    let (log, _) = topic.read(&place, Client::Java, &Reading::Beginning, &ends);
    for ack in &acks {
        let found: Vec<_> =
            log[ack.partition].iter().filter(|entry| entry.digest == ack.digest).collect();
        assert_eq!(found.len(), 1, "{ack:?}");
        assert_eq!(ack.offset.unwrap_or(found[0].offset), found[0].offset);
        assert_eq!(ack.timestamp.unwrap_or(found[0].timestamp), found[0].timestamp);
    }
    for client in Client::ALL {
        let (read, _) = topic.read(&place, client, &Reading::Beginning, &ends);
        for partition in 0..ends.len() {
            assert_same(client, partition, &read[partition], &log[partition]);
        }
    }
}
