//! Fills that die at any step, and processes that are killed amid them: what is served afterwards
//! is right, and what was there before is still there.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::fixture_test::{Opened, Random};
use crate::steps::{Step, Steps, Stopped};

/// The folder of the process that is to be killed.
const VICTIM: &str = "ICECORE_CACHE_VICTIM";

struct DieAt(Step);

impl Steps for DieAt {
    fn reached(&self, step: Step) -> Result<(), Stopped> {
        if step == self.0 { Err(Stopped(step)) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_dies_at_any_step_leaves_its_chunk_right_or_not_there() {
    for (step, recorded) in [(Step::ChunkWritten, false), (Step::ChunkRecorded, true)] {
        let folder = tempfile::tempdir().unwrap();
        let opened = Opened::new(folder.path(), 4);
        for chunk in 0..4 {
            opened.fill(chunk).await.unwrap();
        }
        drop(opened);
        let dying = Opened::dying(folder.path(), 4, Arc::new(DieAt(step)));
        // Chunk 9 goes into the slot of chunk 0.
        let died = dying.fill(9).await;
        assert!(died.is_err(), "{step:?}");
        assert!(!dying.has(9).await, "what is not whole is not found");
        drop(dying);

        let opened = Opened::new(folder.path(), 4);
        let mut expected = vec![1, 2, 3];
        expected.extend(recorded.then_some(9));
        assert_eq!(opened.which(0..10).await, expected, "{step:?}");
        assert_eq!(opened.counters().wrong_chunks, u64::from(!recorded), "{step:?}");
    }
}

/// A process that ends with the test, however that ends.
struct Victim(Child);

impl Victim {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // An assertion has failed: it would fill for ever.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_amid_its_fills_leaves_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for life in 1..=12 {
        let victim = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cache::crash_test::it_fills_without_an_end_when_it_is_started_to_be_killed",
                "--nocapture",
            ])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut victim = Victim(victim.unwrap());
        let lines = BufReader::new(victim.0.stdout.take().unwrap()).lines();
        // Killed after another number of fills each time, amid the next ones.
        let mut filled = lines.map_while(Result::ok).filter(|line| line.starts_with("filled"));
        assert_eq!(filled.by_ref().take(13 * life).count(), 13 * life);
        victim.kill();

        let opened = Opened::new(folder.path(), 16);
        let had = opened.which(0..64).await;
        let wrong = opened.counters().wrong_chunks;
        println!("life {life}: {} chunks, {wrong} wrong", had.len());
        assert!(wrong <= 4, "one at most for each thread that writes");
        assert!(had.len() >= 8, "what was not under way is still there");
        drop(opened);
    }
}

/// The process above; in an ordinary run nothing.
#[tokio::test(flavor = "multi_thread")]
async fn it_fills_without_an_end_when_it_is_started_to_be_killed() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let opened = Arc::new(Opened::new(folder.as_ref(), 16));
    let filler = |seed| {
        let opened = Arc::clone(&opened);
        tokio::spawn(async move {
            let mut random = Random::new(seed);
            loop {
                let chunk = random.below(64) as u32;
                if !opened.has(chunk).await {
                    drop(opened.fill(chunk).await.unwrap());
                    println!("\nfilled {chunk}");
                }
            }
        })
    };
    let process = u64::from(std::process::id());
    let mut fillers: Vec<_> = (0..8).map(|n| filler(process * 8 + n)).collect();
    fillers.pop().unwrap().await.unwrap();
}
