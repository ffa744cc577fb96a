//! Reads from a remote segment: indexes first, then no more of the log than is wanted.

use std::io;

use bytes::Bytes;
use icecore_tiering::{IndexBundle, ManifestError, Segment, Wanted};

use super::position::{Around, Offsets, first_candidate};
use super::window::Window;
use super::{Tier, TieredRead, off_thread};
use crate::log::error::ReadError;
use crate::log::segment::{TimestampedOffset, find_in_batch};
use crate::model::Offset;
use crate::record::HEADER_LEN;

/// What is read beyond what was asked for, so that the look for the first batch seldom needs a
/// second read: the index interval and a usual batch.
const LOOK_BYTES: u64 = 64 << 10;
/// How much of a segment is looked at in one step of a search for a time, at most.
const SEARCH_BYTES: u64 = 1 << 20;

impl ReadError {
    /// The manifest is a file of ours.
    pub(super) fn manifest(error: ManifestError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// What a look into a window gave.
enum Look<T> {
    Found(T),
    /// The window has to reach to there.
    NeedsUntil(u64),
    /// There is nothing up to the segment's end.
    Nothing,
}

/// Where whole batches lie.
struct Span {
    start: u64,
    end: u64,
    /// The base timestamp of the first batch.
    time_ms: i64,
}

/// What is asked of a segment: whole batches from the one that holds `from` on.
#[derive(Clone, Copy)]
struct Ask {
    from: Offset,
    max_bytes: u64,
    min_one: bool,
}

/// Where to look for the first batch: from `start` on; the whole batch ends before `enough`, and an
/// earlier look may have to begin at `look_from`.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    enough: u64,
    look_from: u64,
}

impl Tier {
    /// Whole batches of `segment` from the one that holds `from` (or the next one) on.
    pub(super) async fn read(
        &self,
        segment: &Segment,
        from: Offset,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<TieredRead, ReadError> {
        let ask = Ask { from: from.max(segment.base), max_bytes: max_bytes as u64, min_one };
        // Let go at once: a hundred readers that wait for bytes would hold a hundred indexes.
        let (places, entries) = plan(segment, &*self.tiering.index(segment).await?, ask);
        for place in places {
            if let Some(read) = self.read_at(segment, &entries, place, ask).await? {
                return Ok(read);
            }
        }
        Ok(TieredRead::default())
    }

    /// The same, looking at one place; `None` when the batch lies before it.
    async fn read_at(
        &self,
        segment: &Segment,
        entries: &Bytes,
        place: Place,
        ask: Ask,
    ) -> Result<Option<TieredRead>, ReadError> {
        let Place { start, look_from, .. } = place;
        let until = (start + ask.max_bytes + LOOK_BYTES).min(segment.size);
        // A sparse index tells little: then the batches themselves say how far they go.
        let mut enough = place.enough.max(start + 1).min(until);
        let mut had = start;
        loop {
            let range = start..until.max(enough);
            let wanted = Wanted { range, enough, look_from, is_search: false };
            let window = Window::new(start, self.tiering.read(segment, wanted).await?);
            let end = window.end();
            match self.look(segment, entries, window.clone(), start, ask).await? {
                Look::Found(Some(Span { start, end, time_ms })) => {
                    let slices = window.cut(start, end);
                    return Ok(Some(TieredRead { slices, remote_time_ms: Some(time_ms) }));
                }
                Look::Found(None) => return Ok(None),
                Look::Nothing => return Ok(Some(TieredRead::default())),
                Look::NeedsUntil(further) => enough = progress(had, end, further, segment)?,
            }
            had = end;
        }
    }

    async fn look(
        &self,
        segment: &Segment,
        entries: &Bytes,
        window: Window,
        start: u64,
        ask: Ask,
    ) -> Result<Look<Option<Span>>, ReadError> {
        let (base, size) = (segment.object.base, segment.size);
        let cut_end = segment.is_cut().then_some(segment.end);
        let entries = entries.clone();
        let looked = off_thread(move || {
            let offsets = Offsets::new(base, &entries);
            let first = match first_batch(&window, start, ask.from, size)? {
                Look::Found(Some(position)) => position,
                Look::Found(None) => return Ok(Look::Found(None)),
                Look::Nothing => return Ok(Look::Nothing),
                Look::NeedsUntil(until) => return Ok(Look::NeedsUntil(until)),
            };
            span(&window, &offsets, first, ask, size, cut_end)
        });
        looked.await?.map_err(ReadError::Io)
    }

    /// The first record at or after `start` in remote segments below `local_start` with at least
    /// that timestamp.
    pub(super) async fn find_time(
        &self,
        timestamp_ms: i64,
        start: Offset,
        local_start: Offset,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let first = self.tiering.find_by_time(&self.key, timestamp_ms).await;
        let mut next = first.map_err(ReadError::manifest)?;
        while let Some(segment) = next.filter(|segment| segment.base < local_start) {
            if segment.end >= start && segment.max_timestamp_ms >= timestamp_ms {
                let found =
                    self.find_time_in(&segment, timestamp_ms, start.max(segment.base)).await?;
                if let Some(found) = found.filter(|found| found.offset <= segment.end) {
                    return Ok(Some(found));
                }
            }
            let after = self.tiering.next_after(&self.key, segment.base).await;
            next = after.map_err(ReadError::manifest)?;
        }
        Ok(None)
    }

    async fn find_time_in(
        &self,
        segment: &Segment,
        timestamp_ms: i64,
        start: Offset,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let (from, mut position) = {
            let (bundle, base) = (self.tiering.index(segment).await?, segment.object.base);
            let from = first_candidate(base, &bundle.time_index, timestamp_ms).max(start);
            let around = Offsets::new(base, &bundle.offset_index).around(from);
            (from, around.before.map_or(0, |entry| entry.position))
        };
        let (mut enough, mut had) = (position, position);
        loop {
            enough = (position + LOOK_BYTES).max(enough).min(segment.size);
            let range = position..(position + SEARCH_BYTES).min(segment.size).max(enough);
            let wanted = Wanted { range, enough, look_from: position, is_search: true };
            let window = Window::new(position, self.tiering.read(segment, wanted).await?);
            let (end, size) = (window.end(), segment.size);
            let search = move || search_time(&window, position, from, timestamp_ms, size);
            had = match off_thread(search).await?? {
                Look::Found((found, _)) if found.is_some() => return Ok(found),
                Look::Found((_, reached)) if reached > position => {
                    position = reached;
                    reached
                }
                Look::Found(_) | Look::Nothing => return Ok(None),
                Look::NeedsUntil(further) => {
                    enough = progress(had, end, further, segment)?;
                    end
                }
            };
        }
    }
}

/// Where to look for the first batch, the likeliest place first, and the index of what lies there.
fn plan(segment: &Segment, bundle: &IndexBundle, ask: Ask) -> (Vec<Place>, Bytes) {
    let offsets = Offsets::new(segment.object.base, &bundle.offset_index);
    let Around { before, next, behind } = offsets.around(ask.from);
    let look_from = before.map_or(0, |entry| entry.position);
    let enough = behind.map_or(segment.size, |entry| entry.position);
    // A reader in sequence left off at an indexed batch: it is the next entry's.
    let starts = [next, before].into_iter().flatten().map(|entry| entry.position);
    let place = |start| Place { start, enough, look_from: look_from.min(start) };
    let places: Vec<_> = starts.chain([0]).map(place).collect();
    let furthest = places.iter().map(|place| place.start).max().unwrap_or_default();
    let until = furthest.saturating_add(ask.max_bytes).saturating_add(LOOK_BYTES);
    (places, offsets.between(look_from, until))
}

/// How far the next look must reach, which is further than the last one did. A read must bring more
/// than the one before it, or the segment is not what its name says.
fn progress(had: u64, end: u64, needed: u64, segment: &Segment) -> Result<u64, ReadError> {
    let base = segment.base;
    if needed > segment.size || needed <= end {
        let what = format!("the remote segment at offset {base} holds a batch that lies");
        return Err(ReadError::Io(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    if end <= had {
        let what = format!(
            "a batch of the remote segment at offset {base} is larger than half of the read cache: \
             raise cache.bytes"
        );
        return Err(ReadError::Io(io::Error::new(io::ErrorKind::OutOfMemory, what)));
    }
    Ok(needed)
}

/// Where the next batch begins; an error when its length lies.
fn batch_end(position: u64, header: &crate::record::BatchHeader) -> io::Result<u64> {
    match u64::try_from(header.batch_len()) {
        Ok(len) if len >= HEADER_LEN as u64 => Ok(position + len),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a remote batch has a length that lies"))
        }
    }
}

/// The first batch from `start` on that ends at or after `from`. `Found(None)` when the one at
/// `start` begins after `from` although batches lie before it.
fn first_batch(
    window: &Window,
    start: u64,
    from: Offset,
    size: u64,
) -> io::Result<Look<Option<u64>>> {
    let mut position = start;
    loop {
        if position >= size {
            return Ok(Look::Nothing);
        }
        let Some(header) = window.header(position)? else {
            return Ok(Look::NeedsUntil((position + HEADER_LEN as u64).min(size)));
        };
        if position == start && start > 0 && header.base_offset > from {
            return Ok(Look::Found(None));
        }
        if header.last_offset() >= from {
            return Ok(Look::Found(Some(position)));
        }
        position = batch_end(position, &header)?;
    }
}

/// As many whole batches from `first` on as `max_bytes` allow, the first one in any case when
/// `min_one` is set; none that begins after `cut_end`, where another leader's segment answers.
fn span(
    window: &Window,
    offsets: &Offsets<'_>,
    first: u64,
    ask: Ask,
    size: u64,
    cut_end: Option<Offset>,
) -> io::Result<Look<Option<Span>>> {
    let Ask { max_bytes, min_one, .. } = ask;
    let wanted = first.saturating_add(max_bytes).min(size).min(window.end());
    let mut end = match offsets.floor_position(wanted) {
        _ if wanted == size => size,
        Some(entry) if entry.position > first => entry.position,
        _ => first,
    };
    let Some(header) = window.header(first)? else { return Ok(Look::Nothing) };
    let first_end = batch_end(first, &header)?;
    if end == first {
        end = if first_end <= first + max_bytes || min_one { first_end } else { first };
    }
    if end > window.end() {
        return Ok(Look::NeedsUntil(end));
    }
    if let Some(cut_end) = cut_end {
        end = end_within(window, first, end, cut_end)?;
    }
    let span = Span { start: first, end, time_ms: header.base_timestamp };
    Ok(if end > first { Look::Found(Some(span)) } else { Look::Nothing })
}

/// Where the batches from `first` on that begin at or before `last` end, at most `end`.
fn end_within(window: &Window, first: u64, end: u64, last: Offset) -> io::Result<u64> {
    let mut position = first;
    while position < end {
        match window.header(position)? {
            Some(header) if header.base_offset <= last => position = batch_end(position, &header)?,
            _ => break,
        }
    }
    Ok(position)
}

/// The first record in the window that is late enough, or how far the look went.
fn search_time(
    window: &Window,
    start: u64,
    from: Offset,
    timestamp_ms: i64,
    size: u64,
) -> io::Result<Look<(Option<TimestampedOffset>, u64)>> {
    let mut position = start;
    while position < size {
        let Some(header) = window.header(position)? else { break };
        let end = batch_end(position, &header)?;
        if header.max_timestamp >= timestamp_ms && header.last_offset() >= from {
            if end > window.end() {
                return Ok(if position == start {
                    Look::NeedsUntil(end)
                } else {
                    Look::Found((None, position))
                });
            }
            let batch = window.batch(position, &header)?;
            if let Some(found) = find_in_batch(&batch, timestamp_ms, from)? {
                return Ok(Look::Found((Some(found), end)));
            }
        }
        position = end;
    }
    Ok(if position >= size { Look::Nothing } else { Look::Found((None, position)) })
}
