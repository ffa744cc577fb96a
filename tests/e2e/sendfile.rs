//! How records leave the broker.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{
    Broker, Client, Place, Reading, Running, Topic, Writing, ledger, now_ms, read_ledger, until,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Every call by which bytes can leave on a socket.
const CALLS: &str = "trace=sendfile,sendto,sendmsg,write,writev,splice";

#[test]
fn records_reach_a_tail_consumer_by_sendfile_alone() {
    let place = Place::new("sendfile");
    let broker = Broker::start(&place, None, &[]);
    let topic = Topic::create(&place, &broker, "sendfile", 1, &[("retention.ms", "-1")]);
    let trace = place.join("strace.out");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", CALLS, "-o"]).arg(&trace);
    command.args(["-p", &broker.pid().to_string()]);
    let mut strace = Running::start(command, &place.join("strace.log"));
    until("strace is attached", PATIENCE, || {
        assert!(strace.runs(), "strace cannot trace the broker: {}", strace.output_tail());
        strace.output_tail().contains("attached").then_some(())
    });
    let more = [("--records", "2000".to_owned()), ("--size-min", "1000".to_owned())];
    let more = [&more[..], &[("--size-max", "4000".to_owned())]].concat();
    let writing = Writing { name: "writer", codecs: "none", start_ms: now_ms(), more: &more };
    let mut producer = topic.start_writing(&place, Client::Librdkafka, &writing);
    // Reads along while the producer writes: up to the number of records that it will have sent.
    topic.read(&place, Client::Librdkafka, &Reading::Offsets(vec![0]), &[2000]);
    producer.succeed(PATIENCE);
    assert_eq!(read_ledger(&ledger(&place, "writer")).len(), 2000);
    strace.signal(Signal::INT);
    strace.wait(PATIENCE);

    let bytes = broker.partitions("sendfile")[0].local.bytes;
    let calls = std::fs::read_to_string(&trace).unwrap();
    let (by_sendfile, otherwise) = sent(&calls);
    println!("{bytes} bytes of records: {by_sendfile} by sendfile, {otherwise} by other calls");
    assert!(by_sendfile >= bytes, "{by_sendfile} of {bytes} bytes went by sendfile");
    // Headers of responses, and acks.
    assert!(otherwise < bytes / 5, "{otherwise} bytes went by other calls");
}

/// Bytes that went to sockets by sendfile, and by other calls.
fn sent(calls: &str) -> (u64, u64) {
    let mut sent = (0, 0);
    for line in calls.lines() {
        // A call that another thread interrupts is told in two lines; the second has the result.
        let Some(result) = line.rsplit(" = ").next().and_then(|result| result.parse().ok()) else {
            continue;
        };
        let result: u64 = result;
        if line.contains("sendfile(") || line.contains("sendfile resumed") {
            sent.0 += result;
        } else if line.contains("socket:") || line.contains("TCP:") || line.contains("resumed") {
            sent.1 += result;
        }
    }
    sent
}
