//! Memory of request frames: how much there may be, and the large buffers that are used again.
//!
//! `request_memory` is charged before a frame's buffer is taken and given back when the last slice
//! of the frame is dropped, so its free permits plus the bytes of all living frames are always the
//! limit. A fresh megabyte costs 256 page faults, more than the copy from the socket; buffers from
//! 32 KiB to 16 MiB are therefore kept, by size class, up to a bound, and those that stayed unused
//! for a while are given back.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;
use crate::metrics::SocketMetrics;

/// The smallest class is 2^15 bytes; smaller frames come from the allocator.
const SMALLEST_CLASS_BITS: u32 = 15;
/// The largest class is 2^24 bytes; larger frames are rare and go back to the system.
const CLASSES: usize = 10;

/// Request memory of a server.
#[derive(Debug)]
pub(super) struct FrameMemory {
    budget: Arc<Semaphore>,
    spare: Mutex<Spare>,
    spare_bytes_max: usize,
    metrics: SocketMetrics,
}

#[derive(Debug, Default)]
struct Spare {
    classes: [Class; CLASSES],
    bytes: usize,
}

#[derive(Debug, Default)]
struct Class {
    buffers: Vec<Vec<u8>>,
    /// The fewest spare buffers since the last trim: so many were not needed.
    fewest: usize,
}

/// The right to hold a frame of some length. Given back on drop.
#[derive(Debug)]
pub(super) struct Charge {
    bytes: usize,
    memory: Arc<FrameMemory>,
    _permit: OwnedSemaphorePermit,
}

/// There is no memory for a frame, though the budget has room.
#[derive(Debug, thiserror::Error)]
#[error("cannot allocate {bytes} bytes for a request")]
pub(super) struct OutOfMemory {
    bytes: usize,
}

impl FrameMemory {
    pub(super) fn new(limits: &Limits, metrics: SocketMetrics) -> Self {
        Self {
            budget: Arc::new(Semaphore::new(limits.request_memory_bytes)),
            spare: Mutex::default(),
            spare_bytes_max: limits.spare_buffer_bytes_max,
            metrics,
        }
    }

    /// Charges a frame if there is room now.
    pub(super) fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let permits = permits(bytes);
        let permit = Arc::clone(&self.budget).try_acquire_many_owned(permits).ok()?;
        Some(self.charged(bytes, permit))
    }

    /// Charges a frame as soon as others have given enough back, first come first served.
    pub(super) async fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.metrics.request_memory_waits.inc();
        let permit = Arc::clone(&self.budget).acquire_many_owned(permits(bytes)).await;
        self.charged(bytes, permit.expect("the budget is never closed"))
    }

    fn charged(self: &Arc<Self>, bytes: usize, permit: OwnedSemaphorePermit) -> Charge {
        self.metrics.request_memory_bytes.inc_by(bytes as i64);
        Charge { bytes, memory: Arc::clone(self), _permit: permit }
    }

    /// An empty buffer with room for `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Result<Vec<u8>, OutOfMemory> {
        let class = class_of(bytes);
        if let Some(buffer) = class.and_then(|class| self.spare.lock().take(class)) {
            return Ok(buffer);
        }
        let room = class.map_or(bytes, class_bytes);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(room).map_err(|_| OutOfMemory { bytes })?;
        Ok(buffer)
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let class = class_of(buffer.capacity()).filter(|&c| class_bytes(c) == buffer.capacity());
        let Some(class) = class else { return };
        buffer.clear();
        let mut spare = self.spare.lock();
        if spare.bytes + class_bytes(class) <= self.spare_bytes_max {
            spare.bytes += class_bytes(class);
            spare.classes[class].buffers.push(buffer);
        }
    }

    /// Frees the buffers that nobody needed since the last call.
    pub(super) fn trim(&self) {
        let mut spare = self.spare.lock();
        let mut freed = 0;
        for (class, kept) in spare.classes.iter_mut().enumerate() {
            let rest = kept.buffers.len() - kept.fewest;
            freed += kept.fewest * class_bytes(class);
            kept.buffers.truncate(rest);
            kept.fewest = rest;
        }
        spare.bytes -= freed;
    }

    #[cfg(test)]
    fn spare_bytes(&self) -> usize {
        self.spare.lock().bytes
    }
}

impl Spare {
    fn take(&mut self, class: usize) -> Option<Vec<u8>> {
        let kept = &mut self.classes[class];
        let buffer = kept.buffers.pop();
        kept.fewest = kept.fewest.min(kept.buffers.len());
        if buffer.is_some() {
            self.bytes -= class_bytes(class);
        }
        buffer
    }
}

impl Charge {
    /// Makes the frame immutable; buffer and charge go back when its last slice is dropped.
    pub(super) fn freeze(self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Frame { buffer, charge: self })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.metrics.request_memory_bytes.dec_by(self.bytes as i64);
    }
}

struct Frame {
    buffer: Vec<u8>,
    charge: Charge,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.charge.memory.give_back(std::mem::take(&mut self.buffer));
    }
}

/// Frame lengths are checked against `i32::MAX` before.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame length fits 31 bits")
}

/// The smallest class with room for `bytes`; none for frames below or beyond the classes.
fn class_of(bytes: usize) -> Option<usize> {
    if bytes <= class_bytes(0) / 2 {
        return None;
    }
    let bits = bytes.next_power_of_two().trailing_zeros().max(SMALLEST_CLASS_BITS);
    Some((bits - SMALLEST_CLASS_BITS) as usize).filter(|&class| class < CLASSES)
}

const fn class_bytes(class: usize) -> usize {
    1 << (SMALLEST_CLASS_BITS as usize + class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(request_memory_bytes: usize, spare_buffer_bytes_max: usize) -> Arc<FrameMemory> {
        let limits = Limits { request_memory_bytes, spare_buffer_bytes_max, ..Limits::default() };
        Arc::new(FrameMemory::new(&limits, SocketMetrics::unregistered()))
    }

    #[test]
    fn a_buffer_comes_back_when_the_last_slice_is_dropped_and_is_used_again() {
        let memory = memory(4 << 20, 4 << 20);
        let charge = memory.try_charge(1_000_000).unwrap();
        let mut buffer = memory.take(1_000_000).unwrap();
        buffer.resize(1_000_000, 7);
        let place = buffer.as_ptr();
        let frame = charge.freeze(buffer);
        let slice = frame.slice(10..20);
        drop(frame);
        assert_eq!((memory.spare_bytes(), slice[0]), (0, 7));
        assert!(memory.try_charge(4 << 20).is_none());
        drop(slice);
        assert_eq!(memory.spare_bytes(), 1 << 20);
        assert!(memory.try_charge(4 << 20).is_some());
        let again = memory.take(600_000).unwrap();
        assert_eq!((again.as_ptr(), again.len(), memory.spare_bytes()), (place, 0, 0));
    }

    #[test]
    fn spare_buffers_are_bounded_and_unused_ones_are_freed() {
        let memory = memory(64 << 20, 3 << 20);
        let buffers: Vec<_> = (0..5).map(|_| memory.take(1 << 20).unwrap()).collect();
        buffers.into_iter().for_each(|buffer| memory.give_back(buffer));
        assert_eq!(memory.spare_bytes(), 3 << 20);
        memory.trim();
        let used = memory.take(1 << 20).unwrap();
        memory.give_back(used);
        memory.trim();
        assert_eq!(memory.spare_bytes(), 1 << 20, "two were never needed");
        memory.trim();
        assert_eq!(memory.spare_bytes(), 0);
    }

    #[test]
    fn each_length_gets_the_smallest_class_that_holds_it() {
        for (bytes, class) in [
            (0, None),
            (16 << 10, None),
            ((16 << 10) + 1, Some(0)),
            (32 << 10, Some(0)),
            ((32 << 10) + 1, Some(1)),
            (16 << 20, Some(9)),
            ((16 << 20) + 1, None),
        ] {
            assert_eq!(class_of(bytes), class, "{bytes}");
        }
    }
}
