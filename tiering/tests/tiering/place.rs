//! A folder of a test's own in a store.

use icecore_tiering::Store;
use object_store::path::Path;

pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) folder: String,
}

impl Place {
    pub(crate) fn new(store: Store) -> Self {
        let own = uuid::Uuid::new_v4().simple().to_string();
        let folder = match store.url_prefix() {
            "" => own,
            prefix => format!("{prefix}/{own}"),
        };
        Self { store, folder }
    }

    pub(crate) fn name(&self, name: &str) -> Path {
        Path::parse(format!("{}/{name}", self.folder)).unwrap()
    }
}
