//! Files that are not what the cache left: never a wrong byte, never a refusal.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture_test::{Opened, Random};
use super::{CHUNK_BYTES, CacheClass, CacheOpenError, Lookup};
use crate::cache::fixture_test::{bytes_of, content, key, settings};

const SLOTS: u64 = 16;
/// Twice as many chunks as slots.
const CHUNKS: u32 = 32;
/// What a disk writes whole.
const SECTOR: usize = 512;

fn slab(folder: &Path) -> PathBuf {
    folder.join("slab-0000")
}

fn index(folder: &Path) -> PathBuf {
    folder.join("index")
}

/// A cache of chunks 0 to 15, and both of its files as they were then.
async fn half_filled(folder: &Path) -> [Vec<u8>; 2] {
    let opened = Opened::new(folder, SLOTS);
    for chunk in 0..CHUNKS / 2 {
        opened.fill(chunk).await.unwrap();
    }
    drop(opened);
    let opened = Opened::new(folder, SLOTS);
    let files = [slab(folder), index(folder)].map(|path| fs::read(path).unwrap());
    drop(opened);
    files
}

/// Chunks 16 to 31 take the place of some of the others.
async fn turned_over(folder: &Path, random: &mut Random) {
    let opened = Opened::new(folder, SLOTS);
    for _ in 0..SLOTS {
        let chunk = CHUNKS / 2 + random.below(u64::from(CHUNKS / 2)) as u32;
        if !opened.has(chunk).await {
            opened.fill(chunk).await.unwrap();
        }
    }
    drop(opened);
    drop(Opened::new(folder, SLOTS));
}

/// Each sector is the old or the new one: what a power cut leaves of writes that nobody synced.
fn torn(old: &[u8], new: &[u8], random: &mut Random) -> Vec<u8> {
    let mut torn = new.to_vec();
    for (torn, old) in torn.chunks_mut(SECTOR).zip(old.chunks(SECTOR)) {
        if random.below(3) == 0 {
            torn[..old.len()].copy_from_slice(old);
        }
    }
    torn
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len() as u64) as usize;
        let len = (random.below(3 * CHUNK_BYTES) as usize).min(bytes.len() - at);
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..at + len].fill(0),
            2 => bytes[at..at + len].copy_from_slice(&random.bytes(len)),
            3 => {
                let to = bytes.len() - at - len;
                bytes.copy_within(at..at + len, to);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}

/// Opens and reads everything, twice; then everything can be filled and read again.
async fn nothing_wrong_is_served(folder: &Path) -> usize {
    let opened = Opened::new(folder, SLOTS);
    let had = opened.which(0..CHUNKS).await;
    let wrong = opened.counters().wrong_chunks;
    assert_eq!(opened.which(0..CHUNKS).await, had, "what was checked stays");
    assert_eq!(opened.counters().wrong_chunks, wrong, "what was wrong is gone");
    for chunk in 0..CHUNKS {
        if !opened.has(chunk).await {
            let filled = opened.fill(chunk).await.unwrap();
            assert!(bytes_of(&filled) == content(&key(chunk)));
        }
    }
    had.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_became_of_the_files_no_wrong_byte_is_served() {
    let mut survivors = 0;
    for seed in 0..30 {
        println!("seed {seed}");
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let [old_slab, old_index] = half_filled(folder.path()).await;
        turned_over(folder.path(), random).await;
        let mut new_slab = fs::read(slab(folder.path())).unwrap();
        let mut new_index = fs::read(index(folder.path())).unwrap();
        match random.below(6) {
            0 => new_index = old_index,
            1 => new_slab = old_slab,
            2 => new_index = torn(&old_index, &new_index, random),
            3 => new_slab = torn(&old_slab, &new_slab, random),
            4 => {
                new_index = torn(&old_index, &new_index, random);
                new_slab = torn(&old_slab, &new_slab, random);
            }
            _ => {}
        }
        if random.below(2) == 0 {
            damage(&mut new_slab, random);
        }
        if random.below(2) == 0 {
            damage(&mut new_index, random);
        }
        fs::write(slab(folder.path()), new_slab).unwrap();
        fs::write(index(folder.path()), new_index).unwrap();
        survivors += nothing_wrong_is_served(folder.path()).await;
    }
    assert!(survivors > 50, "{survivors} chunks were right and used");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_version_is_not_used_and_not_fatal() {
    let folder = tempfile::tempdir().unwrap();
    half_filled(folder.path()).await;
    let mut bytes = fs::read(index(folder.path())).unwrap();
    bytes[9] += 1;
    fs::write(index(folder.path()), bytes).unwrap();
    let opened = Opened::new(folder.path(), SLOTS);
    assert!(opened.which(0..CHUNKS).await.is_empty());
    assert_eq!(opened.counters().wrong_chunks, 0, "nothing of it was believed");
    opened.fill(3).await.unwrap();
    drop(opened);
    assert_eq!(Opened::new(folder.path(), SLOTS).which(0..CHUNKS).await, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    half_filled(folder.path()).await;
    fs::remove_file(slab(folder.path())).unwrap();
    let opened = Opened::new(folder.path(), SLOTS);
    assert!(opened.which(0..CHUNKS).await.is_empty());
    assert_eq!(opened.counters().wrong_chunks, 0, "a new file holds nothing");
    opened.fill(1).await.unwrap();
    drop(opened);
    drop(Opened::new(folder.path(), SLOTS));
    fs::remove_file(index(folder.path())).unwrap();
    assert!(Opened::new(folder.path(), SLOTS).which(0..CHUNKS).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_way_of_a_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(slab(folder.path())).unwrap();
    let error = Opened::with(settings(folder.path(), SLOTS)).err().unwrap();
    assert!(matches!(error, CacheOpenError::Io { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_dropped_once_for_all_who_check_it() {
    let folder = tempfile::tempdir().unwrap();
    half_filled(folder.path()).await;
    fs::write(slab(folder.path()), vec![1; (SLOTS * CHUNK_BYTES) as usize]).unwrap();
    let opened = Opened::new(folder.path(), SLOTS);
    let look = || opened.cache.get(&key(3), CacheClass::Normal);
    for look in [look(), look(), look()] {
        let Lookup::Unchecked(unchecked) = look else { panic!("found at the start") };
        assert!(unchecked.check(None).await.is_none());
    }
    assert!(matches!(look(), Lookup::Missing));
    assert_eq!(opened.counters().wrong_chunks, 1);
}
