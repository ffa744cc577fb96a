//! Threads of their own for what gives way: checksums, encryption and copies of an upload or a download,
//! and the sending of a replay's bytes, take no turn away from producers and consumers at the tail, and
//! give way where processors are too few.

use std::io;

use icecore_tiering::lower_thread_priority;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads of one name that work; more do not make a store faster.
const THREADS_MAX: usize = 4;

/// A runtime that is ended without a wait when it is dropped.
pub(super) struct AsideThreads(Option<Runtime>);

impl AsideThreads {
    /// Starts them.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.min(THREADS_MAX))
            .thread_name(name)
            .on_thread_start(lower_thread_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where tasks are spawned.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for AsideThreads {
    fn drop(&mut self) {
        // A call to a store that hangs must not hold up the end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
