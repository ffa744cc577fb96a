//! Work that runs elsewhere, as if it ran here.
//!
//! Invariant: a panic of the work goes on in whoever waits for it. Work that never ran, since the
//! runtime ends, has no outcome: whoever waits for it ends with the runtime as well.

use tokio::task::JoinHandle;

/// Runs what may wait for a disk or a lock, or takes long, beside the network threads.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    done(tokio::task::spawn_blocking(work)).await
}

/// What a task came to.
pub async fn done<T>(task: JoinHandle<T>) -> T {
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

    use super::*;

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
