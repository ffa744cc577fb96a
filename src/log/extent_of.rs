//! How much of the local log lies in a range of offsets, without reading a record.

use std::io;
use std::ops::Range;

use super::partition_log::Log;
use super::segment::View;
use crate::model::Offset;

/// Whole batches of a range of offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalExtent {
    /// Segments that they lie in.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Log {
    /// What a reader of these offsets is given of the local segments: the batches that hold one of
    /// them. Blocking.
    ///
    /// # Errors
    /// What the disk says.
    pub fn extent_of(&self, offsets: &Range<Offset>) -> io::Result<LocalExtent> {
        let segments = self.segments.load_full();
        let mut sum = LocalExtent::default();
        for sealed in &segments.sealed {
            if sealed.base() < offsets.end && sealed.end() > offsets.start {
                let inside = offsets.start <= sealed.base() && sealed.end() <= offsets.end;
                sum.add(match inside {
                    true => sealed.size(),
                    false => sealed.view().and_then(|view| bytes_of(&view, offsets))?,
                });
            }
        }
        if segments.active.base() < offsets.end && offsets.start < segments.active.extent().end {
            sum.add(bytes_of(&segments.active, offsets)?);
        }
        Ok(sum)
    }
}

impl LocalExtent {
    fn add(&mut self, bytes: u64) {
        self.segments += u64::from(bytes > 0);
        self.bytes += bytes;
    }
}

/// From the first batch that ends after the start to the last one that begins before the end.
fn bytes_of(view: &View, offsets: &Range<Offset>) -> io::Result<u64> {
    let size = view.extent().size;
    let first = view.find(offsets.start, size)?.map_or(size, |found| found.position);
    let end = match view.find(offsets.end, size)? {
        Some(found) if found.header.base_offset < offsets.end => found.end(),
        Some(found) => found.position,
        None => size,
    };
    Ok(end.saturating_sub(first))
}
