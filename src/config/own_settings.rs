//! The broker's settings that only icecore has, and all of them together.

use super::broker_settings::KAFKA_SETTINGS;
use super::setting::Bounds::{Any, AtLeast, Fraction, OneOf};
use super::setting::Kind::{Double, Int, Long, Text};
use super::setting::Setting;
use super::topic_settings::DISK_FULL;

/// By name.
const OWN_SETTINGS: &[Setting] = &[
    Setting::new(
        "cache.bytes",
        Long,
        "1073741824",
        AtLeast(1_048_576),
        "Disk for bytes read back from the object store, taken at the start. What lies there outlives a restart, also with another size. It costs at most 72 bytes of memory for each 256 KiB. Not used by file:// stores, which are read in place.",
    ),
    Setting::new(
        "cache.dir",
        Text,
        "",
        Any,
        "The folder of that cache; `cache` in the data directory when not set. Brokers and read-only servers of one user on one machine that name the same folder share one cache, and fetch each byte once for all; the cache.bytes of the one that owns it counts. What lies there may be deleted while all of them are stopped.",
    ),
    Setting::new(
        "logging.filter",
        Text,
        "info,refinery_core=warn",
        Any,
        "Which lines are logged: a level, and levels by target, as RUST_LOG has them elsewhere. The environment's ICECORE_LOG counts before it.",
    ),
    Setting::new(
        "logging.format",
        Text,
        "text",
        OneOf(&["text", "json"]),
        "How a line of the log looks: for people, or a JSON object.",
    ),
    Setting::new(
        "tiering.disk.free.high.bytes",
        Long,
        "-1",
        AtLeast(-1),
        "Free bytes of the log folder's disk at which producers are let in again and nothing more is dropped, once the disk has run full. -1 for twice the low watermark.",
    )
    .meaning(&[(-1, "twice the low watermark")]),
    Setting::new(
        "tiering.disk.free.low.bytes",
        Long,
        "-1",
        AtLeast(-1),
        "With fewer free bytes the disk counts as full, and tiering.disk.full.policy acts; what is left is for uploads, offsets and metadata. -1 for a twentieth of the disk, but 512 MiB at most; 0 for none: producers then write until the disk refuses.",
    )
    .meaning(&[(-1, "a twentieth of the disk, 512 MiB at most"), (0, "none")]),
    Setting::new(
        "tiering.disk.full.policy",
        Text,
        "block",
        OneOf(DISK_FULL),
        "What happens when the disk runs full: `block` refuses producers until there is room; `drop-uploaded-first` gives up the oldest local segments that are uploaded, and refuses producers when there are none.",
    ),
    Setting::new(
        "tiering.follow.interval.ms",
        Long,
        "10000",
        AtLeast(100),
        "How often a read-only server looks into the store for what the cluster's broker has told since: new segments, log starts, topics. The broker tells it every tiering.meta.upload.interval.ms.",
    ),
    Setting::new(
        "tiering.follow.start.wait.ms",
        Long,
        "0",
        AtLeast(0),
        "How long a read-only server waits at its start for a cluster where the store holds none, as it is where both are started together for the first time. Then it ends.",
    ),
    Setting::new(
        "tiering.gc.interval.ms",
        Long,
        "600000",
        AtLeast(1000),
        "How often the store is searched for what a crash left.",
    ),
    Setting::new(
        "tiering.gc.min.age.ms",
        Long,
        "3600000",
        AtLeast(0),
        "Nothing younger is taken for left over.",
    ),
    Setting::new(
        "tiering.max.upload.lag.ms",
        Long,
        "-1",
        AtLeast(-1),
        "An active segment is rolled and uploaded when its first record is so old: the bound of what a lost disk can lose. -1 for segment.ms alone.",
    )
    .meaning(&[(-1, "by log.roll.ms alone")]),
    Setting::new(
        "tiering.meta.upload.interval.ms",
        Long,
        "60000",
        AtLeast(100),
        "How often committed offsets and log starts go to the object store when they changed. Topics and their settings go within a second or two.",
    ),
    Setting::new(
        "tiering.on.empty.disk",
        Text,
        "refuse",
        OneOf(&["refuse", "restore", "new"]),
        "What a start does whose data directory is empty while the store holds a cluster: refuse, restore it, or begin a new one beside it.",
    ),
    Setting::new(
        "tiering.prefix",
        Text,
        "",
        Any,
        "A prefix of every object's name, below the store's URL.",
    ),
    Setting::new(
        "tiering.read.ahead.max.bytes",
        Long,
        "268435456",
        AtLeast(0),
        "How far the store is read ahead of one sequential reader, at most; 0 turns it off. All readers together have half of the cache for it, less where more than half is kept for what is read again and again.",
    ),
    Setting::new(
        "tiering.replay.slowdown.max.percent",
        Int,
        "20",
        AtLeast(-1),
        "By how much replays may raise the 99th percentile of produce requests and of fetches at the tail: above it they are given less, but never less than 4 MiB/s. -1 gives them all there is.",
    )
    .meaning(&[(-1, "no limit")])
    .at_runtime(),
    Setting::new(
        "tracing.otlp.endpoint",
        Text,
        "",
        Any,
        "Where traces go: http://HOST:PORT of an OpenTelemetry collector that takes OTLP over HTTP. When not set, OTEL_EXPORTER_OTLP_ENDPOINT counts; with neither there are no traces.",
    ),
    Setting::new(
        "tracing.request.ratio",
        Double,
        "0.01",
        Fraction,
        "Of how many requests traces are kept, with a collector: from 0 for none to 1 for all. Uploads and starts are all traced.",
    ),
];

/// Every setting of the broker: those that Kafka has, then icecore's own, each by name.
pub(super) const BROKER_SETTINGS: &[Setting] =
    &joined::<{ KAFKA_SETTINGS.len() + OWN_SETTINGS.len() }>();

const fn joined<const ALL: usize>() -> [Setting; ALL] {
    let mut all = [OWN_SETTINGS[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = match at.checked_sub(KAFKA_SETTINGS.len()) {
            None => KAFKA_SETTINGS[at],
            Some(own) => OWN_SETTINGS[own],
        };
        at += 1;
    }
    all
}
