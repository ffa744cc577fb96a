//! Read-only connections, used on the blocking pool, or on the thread that asks where that waits for
//! nothing. At most as many are used at once as there are.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{ManifestError, at_once, connection};

const READERS: usize = 4;

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

    /// Runs a short query here and now if it waits for nothing, and otherwise off the async threads.
    pub(super) async fn look_up<T, F>(&self, query: F) -> Result<T, ManifestError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, ManifestError> + Send + 'static,
    {
        match self.try_at_once(&query) {
            Some(answer) => Ok(answer),
            None => self.read(query).await,
        }
    }

    /// `None` when it would wait: for the disk, or for others that use all connections.
    fn try_at_once<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ManifestError>,
    ) -> Option<T> {
        let _permit = self.free.try_acquire().ok()?;
        let connection = self.idle.lock().pop()?;
        let answer = at_once::run(&connection, query);
        self.idle.lock().push(connection);
        answer
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
