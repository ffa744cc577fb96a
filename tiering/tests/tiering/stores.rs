//! Fixtures over stores that need no service.

use std::sync::Arc;

use icecore_tiering::StoreSettings;
use object_store::ObjectStore;

use crate::fixture::Fixture;

impl Fixture {
    /// Over the store at `url`; `folder://` stands for a folder of the fixture.
    pub(crate) fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match url {
            "folder://" => format!("file://{}", folder.path().join("store").display()),
            url => url.to_owned(),
        };
        Self::with_store(folder, StoreSettings::new(url))
    }

    /// Over a store of the test's own, which outlives each opening.
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        let fixture = Self::new("memory://");
        Self { shared: Some(store), ..fixture }
    }
}
