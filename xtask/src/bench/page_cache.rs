//! A full page cache before every start, as brokers that have run for a while have it.
//!
//! Memory that nobody used lately is not all alike: a virtual machine gives it back to its host,
//! and the next touch waits for the host. That costs several times what writing a record does, and
//! it hits whoever happens to touch the page first. With no memory free, new pages come from those
//! that hold something already, for both brokers and in every case.

use std::fs::File;
use std::io::Read as _;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Memory counts as full when so much of it is left: one in forty bytes.
const FREE_SHARE: u64 = 40;
/// Read between two looks at what is free.
const STEP: usize = 64 << 20;

/// A file as large as the memory, with not one block on the disk.
pub(super) struct PageCache {
    hole: File,
    memory: u64,
    read: u64,
}

impl PageCache {
    /// Makes the file. It has no name, so it goes with the process.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let (hole, memory) = (tempfile::tempfile_in(folder)?, meminfo("MemTotal:")?);
        hole.set_len(memory)?;
        Ok(Self { hole, memory, read: 0 })
    }

    /// Reads on in the file until no memory is free.
    pub(super) fn fill(&mut self) -> Result<()> {
        let mut step = vec![0; STEP];
        let mut left = self.memory;
        while left > 0 && meminfo("MemFree:")? > self.memory / FREE_SHARE {
            if self.read + STEP as u64 > self.memory {
                self.hole.seek(SeekFrom::Start(0))?;
                self.read = 0;
            }
            self.hole.read_exact(&mut step)?;
            self.read += STEP as u64;
            left = left.saturating_sub(STEP as u64);
        }
        Ok(())
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("no {name} in /proc/meminfo"))? * 1024)
}
