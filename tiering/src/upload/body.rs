//! The bytes of the log on their way up.
//!
//! Invariant: what is sent is what was surveyed. The checksum is taken again over the bytes that
//! are sent, and the upload is not completed when it differs.

use std::fs::File;
use std::future::ready;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{OffloadError, UploadTurn};
use crate::bundle::CHECKSUM_BLOCK_BYTES;
use crate::checksum::{RunningCrc, crc32c};
use crate::ids::Offset;
use crate::key::ObjectPart;
use crate::segment::Segment;
use crate::steps::Step;
use crate::store::{Multipart, StoreError};
use crate::tiering::Tiering;

/// A sealed log file that was read through once.
pub(super) struct LogFile {
    file: Arc<File>,
    path: PathBuf,
    base: Offset,
    size: u64,
    pub(super) crc: u32,
    pub(super) block_checksums: Bytes,
}

impl LogFile {
    /// Reads the file through and compares it with the segment.
    pub(super) async fn survey(path: &Path, segment: &Segment) -> Result<Self, OffloadError> {
        let (path, base, size, known) =
            (path.to_owned(), segment.base, segment.size, segment.log_crc);
        let failed = |source| OffloadError::Log { path: path.clone(), source };
        let not = |reason| OffloadError::NotTheSegment { path: path.clone(), base, reason };
        let opened = path.clone();
        let survey = tokio::task::spawn_blocking(move || survey(&opened, size));
        let survey = survey.await.map_err(|error| failed(io::Error::other(error)))?;
        let Some((file, crc, block_checksums)) = survey.map_err(failed)? else {
            return Err(not("it has another length"));
        };
        if known.is_some_and(|known| known != crc) {
            return Err(not("its checksum is not that of an earlier upload"));
        }
        Ok(Self { file: Arc::new(file), path, base, size, crc, block_checksums })
    }

    async fn read(&self, position: u64, length: u64) -> Result<Bytes, OffloadError> {
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = BytesMut::zeroed(usize::try_from(length).map_err(io::Error::other)?);
            file.read_exact_at(&mut bytes, position)?;
            Ok(bytes.freeze())
        });
        let read = read.await.map_err(io::Error::other).flatten();
        read.map_err(|source| OffloadError::Log { path: self.path.clone(), source })
    }

    fn check(&self, crc: u32) -> Result<(), OffloadError> {
        if crc == self.crc {
            return Ok(());
        }
        let reason = "it changed while it was uploaded";
        Err(OffloadError::NotTheSegment { path: self.path.clone(), base: self.base, reason })
    }
}

/// The checksums of a file; `None` when it has another length.
fn survey(path: &Path, size: u64) -> io::Result<Option<(File, u32, Bytes)>> {
    let file = File::open(path)?;
    if file.metadata()?.len() != size {
        return Ok(None);
    }
    let mut block = vec![0; CHECKSUM_BLOCK_BYTES as usize];
    let (mut whole, mut blocks) = (RunningCrc::new(), BytesMut::new());
    let mut position = 0;
    while position < size {
        let length = u64::from(CHECKSUM_BLOCK_BYTES).min(size - position);
        let bytes = &mut block[..usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(bytes, position)?;
        whole.update(bytes);
        blocks.put_u32(crc32c(bytes));
        position += length;
    }
    Ok(Some((file, whole.finish(), blocks.freeze())))
}

impl Tiering {
    /// Writes the `.log` object.
    pub(super) async fn put_log(
        &self,
        turn: &mut UploadTurn<'_>,
        row: &Segment,
        log: &LogFile,
    ) -> Result<(), OffloadError> {
        let name = self.object(row, ObjectPart::Log);
        if log.size <= self.config.part_bytes {
            turn.admit(log.size, ready(Ok(()))).await?;
            let bytes = log.read(0, log.size).await?;
            log.check(crc32c(&bytes))?;
            self.config.pace.admit(log.size).await;
            return Ok(self.store.put(&name, bytes).await?);
        }
        let mut upload = self.store.multipart(&name).await?;
        let sent = self.put_parts(turn, &mut upload, log).await;
        match sent {
            Ok(()) => Ok(upload.complete(log.size).await?),
            // Being stopped is a crash on purpose: it leaves everything as it is.
            Err(stopped @ OffloadError::Stopped(_)) => {
                upload.leave();
                Err(stopped)
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn put_parts(
        &self,
        turn: &mut UploadTurn<'_>,
        upload: &mut Multipart,
        log: &LogFile,
    ) -> Result<(), OffloadError> {
        let mut crc = RunningCrc::new();
        let mut on_their_way = FuturesUnordered::new();
        let mut position = 0;
        while position < log.size {
            if on_their_way.len() >= self.config.parts_in_flight_max
                && let Some(sent) = on_their_way.next().await
            {
                sent?;
            }
            let length = self.config.part_bytes.min(log.size - position);
            turn.admit(length, all_sent(&mut on_their_way)).await?;
            let bytes = log.read(position, length).await?;
            crc.update(&bytes);
            self.config.pace.admit(length).await;
            on_their_way.push(upload.put_part(bytes));
            position += length;
            if position == length {
                // The first part is on its way before anyone can stop us here.
                if let Some(sent) = on_their_way.next().await {
                    sent?;
                }
                self.reached(Step::LogPartWritten)?;
            }
        }
        all_sent(&mut on_their_way).await?;
        log.check(crc.finish())
    }
}

/// Waits for the parts that are on their way.
async fn all_sent(
    parts: &mut FuturesUnordered<impl Future<Output = Result<(), StoreError>>>,
) -> Result<(), OffloadError> {
    Ok(parts.try_for_each(|()| ready(Ok(()))).await?)
}
