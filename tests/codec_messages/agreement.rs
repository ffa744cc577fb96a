//! The codec against the layout, and against two codecs that other people wrote.

use crate::codecs::{self, Codec};
use crate::layout::Layout;
use crate::random::Random;
use crate::table::LAYOUTS;
use crate::value;

const ROUNDS: usize = 12;

fn layout_of(name: &str) -> &'static Layout {
    LAYOUTS.iter().find(|layout| layout.0 == name).expect("a layout for every message")
}

/// Every message and version that the codec shares with us; says how many there were.
fn agree(codecs: &[Codec]) -> usize {
    let mut random = Random::seeded();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for codec in codecs {
        let layout = layout_of(codec.name);
        let shared = |version: &i16| codec.versions.0 <= *version && *version <= codec.versions.1;
        for version in layout.versions().filter(shared) {
            let failed = (0..ROUNDS).find_map(|_| check(codec, layout, version, &mut random).err());
            wrong.extend(failed.map(|why| format!("{} v{version}: {why}", codec.name)));
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{checked} messages and versions");
    checked
}

fn check(codec: &Codec, layout: &Layout, version: i16, random: &mut Random) -> Result<(), String> {
    let (bytes, expected) = value::message(random, layout, version);
    let outcome = (codec.pass)(&bytes, version)?;
    if let Some(difference) = expected.difference(&outcome.tree) {
        return Err(format!("decoded otherwise: {difference}"));
    }
    if outcome.encoded != bytes {
        let at = bytes.iter().zip(&outcome.encoded).take_while(|(one, other)| one == other).count();
        return Err(format!("encoded otherwise from byte {at} of {}", bytes.len()));
    }
    Ok(())
}

#[test]
fn every_message_and_version_is_read_and_written_as_it_is_laid_out() {
    let codecs = codecs::ours();
    assert_eq!(codecs.len(), LAYOUTS.len());
    for codec in &codecs {
        assert_eq!(codec.versions, layout_of(codec.name).1, "{}", codec.name);
    }
    agree(&codecs);
}

#[test]
fn kafka_protocol_reads_and_writes_the_same_bytes_and_values() {
    let checked = agree(&codecs::kafka_protocol());
    assert!(checked >= 400, "only {checked} messages and versions are shared");
}

#[test]
fn kacrab_protocol_reads_and_writes_the_same_bytes_and_values() {
    let checked = agree(&codecs::kacrab_protocol());
    assert!(checked >= 400, "only {checked} messages and versions are shared");
}
