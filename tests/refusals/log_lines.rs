//! What the broker writes to its log, caught for the tests.
//!
//! All brokers of this process share one log, so a test looks for words that only its own broker
//! can have said: a topic's name, a port, a folder.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

static LINES: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

struct Catch;

impl io::Write for Catch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.get_or_init(Mutex::default).lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to catch; more than once does no harm.
pub(crate) fn catch() {
    let filter = tracing_subscriber::EnvFilter::new("info,icecore::broker=debug");
    let lines = tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter);
    // A second start is refused by the library: the first one goes on.
    drop(lines.with_writer(|| Catch).try_init());
}

/// The lines so far that hold all of these words.
pub(crate) fn lines_with(words: &[&str]) -> Vec<String> {
    let all = LINES.get_or_init(Mutex::default).lock().clone();
    let all = String::from_utf8_lossy(&all);
    let with = all.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    with.map(str::to_owned).collect()
}

/// The line that holds all of these words, once it is there.
pub(crate) async fn line_with(words: &[&str]) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(line) = lines_with(words).into_iter().next() {
            return line;
        }
        assert!(Instant::now() < until, "no line of the log has all of {words:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
