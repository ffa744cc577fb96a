//! All object stores at once, started side by side, and how a command is told where they are.
//!
//! The tests stop a store in the middle to see whether a call meets its deadline, so they are told
//! the process of each as well.

use std::process::Command;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::{
    Azurite, BadS3, Components, FakeGcs, Hdfs, LocalStack, Place, Versitygw, free_ports, hdfs,
};

/// The running stores; they end when this is dropped.
pub(crate) struct Stores {
    localstack: LocalStack,
    versitygw: Versitygw,
    /// In front of versitygw, which checks what is signed.
    bad: BadS3,
    hdfs: Hdfs,
    azurite: Azurite,
    gcs: FakeGcs,
}

impl Stores {
    pub(crate) fn start(components: &Components) -> Result<Self> {
        // All ports at once: two that look at the same time would find the same one free.
        let name_node = free_ports(hdfs::PORTS + 5)?;
        let next = name_node + hdfs::PORTS;
        let (start, here) = (Instant::now(), &Place::here());
        let stores = thread::scope(|scope| -> Result<Self> {
            let localstack = scope.spawn(move || LocalStack::start(components, here, next));
            let versitygw = scope.spawn(move || Versitygw::start(components, here, next + 1));
            let azurite = scope.spawn(move || Azurite::start(components, next + 2));
            let gcs = scope.spawn(move || FakeGcs::start(components, next + 3));
            let hdfs = scope.spawn(move || Hdfs::start(components, here, name_node));
            let versitygw = started(versitygw)?;
            Ok(Self {
                bad: BadS3::start(components, next + 4, &versitygw.endpoint())?,
                localstack: started(localstack)?,
                versitygw,
                hdfs: started(hdfs)?,
                azurite: started(azurite)?,
                gcs: started(gcs)?,
            })
        })?;
        println!("xtask: the stores took {} s to start", start.elapsed().as_secs());
        Ok(stores)
    }

    /// The environment that tells a test where the stores are.
    fn environment(&self) -> [(&'static str, String); 11] {
        [
            ("ICECORE_TEST_S3_ENDPOINT", self.localstack.endpoint()),
            ("ICECORE_TEST_S3_PID", self.localstack.id().to_string()),
            ("ICECORE_TEST_VERSITYGW_ENDPOINT", self.versitygw.endpoint()),
            ("ICECORE_TEST_VERSITYGW_PID", self.versitygw.id().to_string()),
            ("ICECORE_TEST_BAD_S3_ENDPOINT", self.bad.endpoint()),
            ("ICECORE_TEST_HDFS_URL", self.hdfs.url()),
            ("ICECORE_TEST_HDFS_PID", self.hdfs.id().to_string()),
            ("ICECORE_TEST_AZURE_ENDPOINT", self.azurite.endpoint()),
            ("ICECORE_TEST_AZURE_PID", self.azurite.id().to_string()),
            ("ICECORE_TEST_GCS_ENDPOINT", self.gcs.endpoint()),
            ("ICECORE_TEST_GCS_PID", self.gcs.id().to_string()),
        ]
    }

    /// Tells a command where the stores are.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.environment());
    }

    /// Prints the same as lines that a shell reads.
    pub(crate) fn print(&self) {
        for (name, value) in self.environment() {
            println!("export {name}={value}");
        }
    }
}

fn started<T>(starting: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    starting.join().map_err(|_| anyhow!("a component's start panicked"))?
}
