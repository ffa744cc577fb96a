//! A disk that is full: producers are refused, readers are served, and nothing acked is lost.

use std::path::Path;
use std::process::{Command, Stdio};

use icecore::wire::ErrorCode;

use crate::broker::{Running, bound};
use crate::client::{Client, batch};
use crate::log_lines::line_with;

/// A file system of few megabytes, gone at the end of the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("dir");
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "icecore-test"]).arg(dir.path());
        // Where it is not allowed, its complaint would only confuse.
        let mounted = mount.stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file that is open yet does not keep it.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

/// A broker on a small disk, without uploads that would free it.
async fn on(disk: &SmallDisk) -> (Running, Client) {
    let settings = [("remote.log.storage.system.enable", "false")];
    let broker = bound(disk.path(), None, &settings).await;
    broker.ready().await;
    let client = broker.client().await;
    (broker, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_producers_serves_readers_and_keeps_what_was_acked() {
    let topic = "full-disk";
    let Some(disk) = SmallDisk::mount(16) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let (broker, mut client) = on(&disk).await;
    assert_eq!(client.create(topic, &[]).await.0, 0);
    let value = vec![b'x'; 512 << 10];
    let mut acked = 0;
    let refused = loop {
        let produced = client.produce(topic, &batch(&value)).await;
        if produced.error != 0 {
            break produced;
        }
        assert_eq!(produced.offset, acked);
        acked += 1;
        assert!(acked < 100, "the disk is small");
    };
    assert_eq!(refused.error, ErrorCode::KafkaStorageError.as_i16(), "{refused:?}");
    line_with(&[topic, "No space left on device"]).await;
    let mut other = broker.client().await;
    assert_eq!(other.values(topic, 0).await, vec![value.clone(); usize::try_from(acked).unwrap()]);

    // The disk grows; without a restart the next record is taken, behind the acked ones.
    let remount = Command::new("mount").args(["-o", "remount,size=64m"]).arg(disk.path()).status();
    assert!(remount.is_ok_and(|status| status.success()), "the disk grows");
    broker
        .until("taking records again", async || {
            let mut client = broker.client().await;
            client.produce(topic, &batch(b"room again")).await.error == 0
        })
        .await;
    broker.stop().await;

    let (broker, mut client) = on(&disk).await;
    let mut values = client.values(topic, 0).await;
    assert_eq!(values.pop().expect("the last"), b"room again");
    assert_eq!(values, vec![value; usize::try_from(acked).unwrap()]);
    broker.stop().await;
}
