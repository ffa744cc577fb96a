//! What the manifest knows about itself.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::ManifestError;

/// Which store the rows belong to, and whether they are complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The nonce in the store's marker object; `None` in a manifest that never met a store.
    pub(crate) store_id: Option<String>,
    /// Whether every object of the store had its row when this was set. Garbage collection deletes
    /// nothing before: an empty manifest would make the whole bucket look like garbage.
    pub(crate) complete: bool,
}

impl Facts {
    pub(super) fn load(connection: &Connection) -> Result<Self, ManifestError> {
        let mut get = connection.prepare_cached("SELECT value FROM facts WHERE name = ?1")?;
        let store_id = get.query_row(["store_id"], |row| row.get(0)).optional()?;
        let complete: Option<String> = get.query_row(["complete"], |row| row.get(0)).optional()?;
        Ok(Self { store_id, complete: complete.as_deref() == Some("yes") })
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<(), ManifestError> {
        let mut set = connection
            .prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)")?;
        if let Some(store_id) = &self.store_id {
            set.execute(params!["store_id", store_id])?;
        }
        set.execute(params!["complete", if self.complete { "yes" } else { "no" }])?;
        Ok(())
    }
}
