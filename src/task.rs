//! Work that runs elsewhere, as if it ran here.
//!
//! Invariant: a panic of the work goes on in whoever waits for it. Work that never ran, since the
//! runtime ends, has no outcome: whoever waits for it ends with the runtime as well.

use tokio::task::JoinError;
use tracing::Instrument as _;

/// Runs a change that is not to stop half-way: it goes on when whoever waits for it leaves.
pub async fn to_its_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    done(tokio::spawn(change.in_current_span())).await
}

/// Runs what may wait for a disk or a lock, or takes long, beside the network threads.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    done(tokio::task::spawn_blocking(work)).await
}

/// What a task came to.
pub async fn done<T>(task: impl Future<Output = Result<T, JoinError>>) -> T {
    match task.await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_goes_on_when_whoever_waits_leaves() {
        let ((stored, storing), (done, ended)) = (oneshot::channel(), oneshot::channel());
        let change = to_its_end(async move {
            let stored: Result<(), _> = storing.await;
            stored.expect("it is stored");
            done.send(()).expect("somebody looks");
        });
        assert!(tokio::time::timeout(Duration::ZERO, change).await.is_err(), "nobody waits");
        stored.send(()).expect("the change is still there");
        ended.await.expect("and is in force");
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_whoever_waits() {
        let waits = tokio::spawn(aside(|| panic!("of the work")));
        assert!(waits.await.expect_err("a panic").is_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ran_is_no_panic() {
        let never = tokio::spawn(std::future::pending::<()>());
        never.abort();
        let waited = tokio::time::timeout(Duration::from_secs(1), done(never)).await;
        assert!(waited.is_err(), "it has no outcome");
    }
}
