//! Where a broker's segments go.

use super::environment;

/// A store of the test's own.
pub(crate) trait Remote {
    /// What `--store` says.
    fn url(&self) -> String;

    /// What the broker reads of its environment.
    fn variables(&self) -> Vec<(&'static str, String)>;
}

/// A folder in HDFS.
pub(crate) struct HdfsFolder(String);

impl HdfsFolder {
    pub(crate) fn new(test: &str) -> Self {
        let (hdfs, process) = (environment("ICECORE_TEST_HDFS_URL"), std::process::id());
        Self(format!("{hdfs}/{test}-{process}"))
    }
}

impl Remote for HdfsFolder {
    fn url(&self) -> String {
        self.0.clone()
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
