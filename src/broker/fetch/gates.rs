//! What a replay passes before it reads: its topic's gate, where the topic has a rate, then that of all
//! replays. In this order who waits for its topic has taken nothing of what all share.

use std::sync::Arc;

use crate::pace::{Passage, ReaderId, ReplayGate};

/// The way of one read.
pub(super) struct Gates {
    reader: ReaderId,
    topic: Option<Arc<ReplayGate>>,
    all: Arc<ReplayGate>,
    bytes: u64,
}

impl Gates {
    /// The way of a read of at most `bytes`.
    pub(super) fn new(
        reader: ReaderId,
        topic: Option<Arc<ReplayGate>>,
        all: &Arc<ReplayGate>,
        bytes: usize,
    ) -> Self {
        Self { reader, topic, all: all.clone(), bytes: bytes as u64 }
    }

    /// Waits until the read may begin.
    pub(super) async fn pass(self) -> Passages {
        let topic = match &self.topic {
            Some(gate) => Some(gate.pass(self.reader, self.bytes).await),
            None => None,
        };
        Passages { topic, all: self.all.pass(self.reader, self.bytes).await }
    }
}

/// A read that was let in everywhere. One that is dropped gives back what it did not move.
pub(super) struct Passages {
    topic: Option<Passage>,
    all: Passage,
}

impl Passages {
    /// The read is over and gave so many bytes.
    pub(super) fn moved(self, bytes: usize) {
        if let Some(topic) = self.topic {
            topic.moved(bytes as u64);
        }
        self.all.moved(bytes as u64);
    }
}
