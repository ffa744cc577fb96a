//! Where a replay goes.

use std::io::{self, BufWriter, Stdout, Write as _};

use super::checkpoint::Checkpoint;
use super::file_sink::FileSink;
use super::form::Load;
use super::topic_sink::TopicSink;
use crate::cli::output::unless_closed;

/// A destination that is open.
pub(super) enum Sink {
    Stdout(BufWriter<Stdout>),
    File(FileSink),
    Topic(Box<TopicSink>),
}

/// Whether the destination takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    On,
    /// Nobody reads standard output any more.
    Closed,
}

impl Sink {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self::Stdout(BufWriter::new(io::stdout()))
    }

    /// Takes a piece of one partition.
    pub(super) async fn take(&mut self, partition: i32, load: Load) -> anyhow::Result<Went> {
        match (self, load) {
            (Self::Stdout(to), Load::Lines(lines)) => {
                return Ok(went(unless_closed(to.write_all(&lines))?));
            }
            (Self::File(file), Load::Lines(lines)) => file.write(&lines)?,
            (Self::Topic(topic), Load::Batches(batches)) => {
                topic.send(partition, batches.into_iter().map(|(_, batch)| batch)).await?;
            }
            (Self::Stdout(_) | Self::File(_), Load::Batches(_))
            | (Self::Topic(_), Load::Lines(_)) => {
                unreachable!("a lane has the form of its destination")
            }
        }
        Ok(Went::On)
    }

    /// Makes everything that was taken durable, as far as the destination can, and notes it.
    pub(super) async fn sync(&mut self, checkpoint: &mut Checkpoint) -> anyhow::Result<Went> {
        match self {
            Self::Stdout(to) => return Ok(went(unless_closed(to.flush())?)),
            Self::File(file) => checkpoint.file_bytes = Some(file.sync()?),
            Self::Topic(topic) => checkpoint.target = Some(topic.sync().await?),
        }
        Ok(Went::On)
    }
}

fn went(is_open: bool) -> Went {
    if is_open { Went::On } else { Went::Closed }
}
