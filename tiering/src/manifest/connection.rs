//! How connections are set up.
//!
//! `synchronous=FULL` on the writer: with NORMAL a power cut could forget the last commits, and a
//! forgotten "local copy may go" is a lost segment. QPSG keeps cached statements from being planned
//! anew at every use.
//!
//! Invariant: a connection's pages are in its own cache and nowhere else in this process. Mapped into
//! memory, what is resident would grow with the history, and a page that is not there would be waited for
//! by whoever touches it.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{ManifestError, at_once};

/// How long a connection waits for a lock of the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that a connection keeps, in KiB. The writer has more: its changes are spread over all indexes.
const WRITER_CACHE_KIB: i64 = 8192;
const READER_CACHE_KIB: i64 = 4096;

mod migrations {
    refinery::embed_migrations!("../migrations/manifest");
}

/// Opens the writing connection and migrates.
pub(super) fn open_writer(path: &Path) -> Result<Connection, ManifestError> {
    let open = |source| ManifestError::Open { path: path.to_owned(), source };
    at_once::prepare();
    let mut connection = Connection::open(path).map_err(open)?;
    set_up(&connection, WRITER_CACHE_KIB).map_err(open)?;
    connection
        .execute_batch(
            "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
             PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=67108864;",
        )
        .map_err(open)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        .map_err(open)?;
    // Grouped: a migration and the note that it was made are one transaction.
    migrations::migrations::runner().set_grouped(true).run(&mut connection).map_err(|source| {
        ManifestError::Migrate { path: path.to_owned(), source: Box::new(source) }
    })?;
    Ok(connection)
}

/// Opens a reading connection beside the writing one.
pub(super) fn open_reader(path: &Path) -> Result<Connection, ManifestError> {
    let open = |source| ManifestError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    set_up(&connection, READER_CACHE_KIB).map_err(open)?;
    at_once::watch(&connection);
    Ok(connection)
}

fn set_up(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -cache_kib)
}
