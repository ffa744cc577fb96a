//! Folders at a NameNode.

use icecore_tiering::StoreSettings;

use super::{fresh, told};

pub(crate) fn url() -> String {
    told("ICECORE_TEST_HDFS_URL")
}

/// A folder of the test's own.
pub(crate) fn folder() -> StoreSettings {
    StoreSettings::new(format!("{}/{}", url(), fresh("f")))
}
