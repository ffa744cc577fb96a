//! Read-only connections, used on the blocking pool and at most as many at once as there are.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{ManifestError, connection};

const READERS: usize = 2;

/// A few reading connections.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, ManifestError> {
        let idle = (0..READERS).map(|_| connection::open_reader(path));
        let idle = idle.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { idle: Arc::new(Mutex::new(idle)), free: Arc::new(Semaphore::new(READERS)) })
    }

    /// Runs a query off the async threads.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, ManifestError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ManifestError> + Send + 'static,
    {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let permit = permit.map_err(|_| ManifestError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let task = tokio::task::spawn_blocking(move || {
            let connection = idle.lock().pop().ok_or(ManifestError::Closed)?;
            let answer = query(&connection);
            idle.lock().push(connection);
            drop(permit);
            answer
        });
        task.await.map_err(|_| ManifestError::Closed)?
    }
}
