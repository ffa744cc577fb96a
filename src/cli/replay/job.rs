//! A replay under way: pieces are taken as they come, and what was taken is noted once a second.

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::form::Piece;
use super::progress::Progress;
use super::sink::{Sink, Went};
use crate::cli::output;

/// How often a checkpoint is written.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// A replay under way.
pub(super) struct Job {
    sink: Sink,
    checkpoint: Checkpoint,
    file: Option<CheckpointFile>,
    noted: Instant,
    progress: Progress,
    began: Instant,
    /// Records and bytes before this process.
    before: (u64, u64),
}

impl Job {
    /// Of a destination that stands where the checkpoint says.
    pub(super) fn new(sink: Sink, checkpoint: Checkpoint, file: Option<CheckpointFile>) -> Self {
        let (all, done) = checkpoint.offsets();
        let mut progress = Progress::new("replayed", all);
        progress.begin_at(done);
        let (began, before) = (Instant::now(), (checkpoint.records, checkpoint.bytes));
        Self { sink, checkpoint, file, noted: began, progress, began, before }
    }

    /// Takes pieces until everything is there, something fails, or the user stops it; then says what
    /// was done.
    pub(super) async fn run(
        mut self,
        lanes: JoinSet<anyhow::Result<()>>,
        pieces: mpsc::Receiver<Piece>,
    ) -> anyhow::Result<()> {
        // Before anything is written: it says where the destination stood.
        self.note().await?;
        let done = self.go(lanes, pieces).await;
        self.progress.finish();
        self.report();
        done
    }

    async fn go(
        &mut self,
        mut lanes: JoinSet<anyhow::Result<()>>,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> anyhow::Result<()> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let piece = tokio::select! {
                piece = pieces.recv() => piece,
                _ = &mut interrupted => {
                    self.note().await?;
                    bail!("interrupted");
                }
            };
            let Some(piece) = piece else { break };
            if self.take(piece).await? == Went::Closed {
                return Ok(());
            }
            if self.noted.elapsed() >= CHECKPOINT_INTERVAL && self.note().await? == Went::Closed {
                return Ok(());
            }
        }
        // What came before a lane failed is there, and counts.
        self.note().await?;
        while let Some(lane) = lanes.join_next().await {
            lane??;
        }
        self.checkpoint.done = self.checkpoint.has_ended();
        self.note().await.map(drop)
    }

    async fn take(&mut self, piece: Piece) -> anyhow::Result<Went> {
        let Piece { partition, next, records, skipped, bytes, time_ms, load } = piece;
        let went = self.sink.take(partition, load).await?;
        if let Some(part) = self.checkpoint.partitions.get_mut(&partition) {
            part.next = next.get();
            part.ahead = part.ahead.saturating_sub(skipped);
        }
        self.checkpoint.records += records;
        self.checkpoint.bytes += bytes;
        let (_, done) = self.checkpoint.offsets();
        let (records, bytes) = (self.checkpoint.records, self.checkpoint.bytes);
        let rate = self.rate();
        self.progress.update(done, || {
            let (bytes, time) = (output::bytes(bytes), output::time(Some(time_ms)));
            format!("{bytes}, {records} records, reached {time}, {}/s", output::bytes(rate))
        });
        Ok(went)
    }

    /// Makes what was taken durable, and notes it.
    async fn note(&mut self) -> anyhow::Result<Went> {
        let went = self.sink.sync(&mut self.checkpoint).await?;
        if let Some(file) = &self.file {
            file.save(&self.checkpoint)?;
        }
        self.noted = Instant::now();
        Ok(went)
    }

    fn rate(&self) -> u64 {
        let mine = self.checkpoint.bytes - self.before.1;
        (mine as f64 / self.began.elapsed().as_secs_f64().max(1e-3)) as u64
    }

    fn report(&self) {
        let records = self.checkpoint.records - self.before.0;
        let bytes = self.checkpoint.bytes - self.before.1;
        eprintln!(
            "{records} records replayed, {} in {:.1} s ({}/s)",
            output::bytes(bytes),
            self.began.elapsed().as_secs_f64(),
            output::bytes(self.rate())
        );
    }
}
