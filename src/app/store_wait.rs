//! A start that waits for its object store.

use std::fmt::Display;
use std::time::Duration;

use super::observe::Observer;

/// How long to wait before a store that is out of reach is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// Asks again as long as the error may pass, and tells meanwhile what is waited for.
pub(super) async fn until_reachable<T, E: Display, A: Future<Output = Result<T, E>>>(
    observer: &Observer,
    may_pass: impl Fn(&E) -> bool,
    ask: impl Fn() -> A,
) -> Result<T, E> {
    loop {
        match ask().await {
            Err(error) if may_pass(&error) => {
                tracing::error!(%error, "waiting for the object store");
                observer.starting(&error.to_string());
                tokio::time::sleep(RETRY).await;
            }
            answer => return answer,
        }
    }
}
