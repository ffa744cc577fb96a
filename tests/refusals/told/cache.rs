//! What the log tells of the read cache.

use crate::broker::bound;
use crate::log_lines::{line_with, lines_with};
use crate::toy_s3::ToyS3;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_restores_tells_once_that_its_cache_is_open() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
    let toy = ToyS3::start(dirs[0].path()).await;
    let settings = |at: usize| dirs[at].path().join("icecore.toml");
    std::fs::copy(settings(0), settings(1)).expect("the same store");
    let broker = bound(dirs[0].path(), Some("s3"), &[]).await;
    broker.ready().await;
    broker.until("kept in the bucket", async || toy.has("/meta/cluster/")).await;
    broker.stop().await;

    // Its configuration is read; a disk with a file is none that is empty.
    toy.switch(false);
    let restored = [("tiering.on.empty.disk", "restore")];
    let broker = bound(dirs[1].path(), Some("s3"), &restored).await;
    std::fs::remove_file(settings(1)).expect("a file");
    toy.switch(true);
    broker.ready().await;
    let folder = dirs[1].path().display().to_string();
    for words in ["the read cache is open", "this process owns the read cache"] {
        line_with(&[words, &folder]).await;
        assert_eq!(lines_with(&[words, &folder]).len(), 1, "{words}");
    }
    broker.stop().await;
}
