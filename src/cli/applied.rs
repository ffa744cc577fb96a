//! What commands have in common that apply a file: how they wait for a broker, and how they tell what
//! became of each thing in the file.

use std::time::{Duration, Instant};

use serde::Serialize;

/// How long between two tries to reach a broker.
const RETRY: Duration = Duration::from_millis(500);

/// What was done about a thing of the file, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    Created,
    Altered,
    Unchanged,
    /// The brokers have something that the file has not.
    Differs,
    Failed,
}

impl What {
    /// As people read it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Altered => "altered",
            Self::Unchanged => "unchanged",
            Self::Differs => "differs",
            Self::Failed => "failed",
        }
    }
}

/// Asks until there is an answer, or for so long; a broker that starts is waited for.
pub(super) async fn patiently<T, E, A: Future<Output = Result<T, E>>>(
    patience: Duration,
    ask: impl Fn() -> A,
) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    loop {
        match ask().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY).await,
            done => return done,
        }
    }
}
