//! A topic's settings: Kafka's, and icecore's own.

use super::setting::Bounds::{Any, AtLeast, Fraction, OffOrAtLeast, OneOf};
use super::setting::Kind::{Boolean, Double, Int, List, Long, Text};
use super::setting::Setting;

/// The values of `tiering.disk.full.policy`.
pub(super) const DISK_FULL: &[&str] = &["block", "drop-uploaded-first"];
/// The values of `tiering.cache.class`: the names of `CacheClass`.
const CACHE_CLASSES: &[&str] = &["normal", "keep", "pass"];
const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

/// By name.
pub(super) const TOPIC_SETTINGS: &[Setting] = &[
    Setting::new("cleanup.policy", List, "delete", OneOf(&["delete", "compact"]), "What happens to old segments: `delete` them by retention. `compact` is accepted, keeps everything for now, and keeps it locally; empty keeps everything.").of_broker("log.cleanup.policy"),
    Setting::new("compression.gzip.level", Int, "-1", Any, "Accepted; batches are not packed anew."),
    Setting::new("compression.lz4.level", Int, "9", Any, "Accepted; batches are not packed anew."),
    Setting::new("compression.type", Text, "producer", OneOf(CODECS), "Batches stay as the producer packed them; other values than `producer` are accepted and have no effect.").of_broker("compression.type"),
    Setting::new("compression.zstd.level", Int, "3", Any, "Accepted; batches are not packed anew."),
    Setting::new("delete.retention.ms", Long, "86400000", AtLeast(0), "Accepted; topics are not compacted yet.").of_broker("log.cleaner.delete.retention.ms"),
    Setting::new("file.delete.delay.ms", Long, "60000", AtLeast(0), "Accepted; files are deleted at once, and readers that have them open keep them.").of_broker("log.segment.delete.delay.ms"),
    Setting::new("flush.messages", Long, "9223372036854775807", AtLeast(1), "A write is synced after so many records, whatever acks the producer asked for.").of_broker("log.flush.interval.messages").meaning(&[(i64::MAX, "never")]),
    Setting::new("flush.ms", Long, "9223372036854775807", AtLeast(0), "A write is synced at most so long after it was made, whatever acks the producer asked for. acks=all is synced before it is answered.").of_broker("log.flush.interval.ms").meaning(&[(i64::MAX, "never")]),
    Setting::new("follower.replication.throttled.replicas", List, "", Any, "Accepted; a single broker has no followers."),
    Setting::new("index.interval.bytes", Int, "4096", AtLeast(0), "Bytes of records between two index entries.").of_broker("log.index.interval.bytes"),
    Setting::new("leader.replication.throttled.replicas", List, "", Any, "Accepted; a single broker has no followers."),
    Setting::new("local.retention.bytes", Long, "-2", AtLeast(-2), "Most bytes of a partition on the local disk, once uploaded. -1 without bound, -2 as retention.bytes.").of_broker("log.local.retention.bytes").in_policies().meaning(&[(-2, "as retention.bytes"), (-1, "no limit")]),
    Setting::new("local.retention.ms", Long, "-2", AtLeast(-2), "How long records stay on the local disk, once uploaded. -1 for ever, -2 as retention.ms.").of_broker("log.local.retention.ms").in_policies().meaning(&[(-2, "as retention.ms"), (-1, "for ever")]),
    Setting::new("max.compaction.lag.ms", Long, "9223372036854775807", AtLeast(1), "Accepted; topics are not compacted yet.").of_broker("log.cleaner.max.compaction.lag.ms"),
    Setting::new("max.message.bytes", Int, "1048588", AtLeast(0), "Most bytes of one batch.").of_broker("message.max.bytes"),
    Setting::new("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), "How far ahead of the broker's clock a record's timestamp may be.").of_broker("log.message.timestamp.after.max.ms"),
    Setting::new("message.timestamp.before.max.ms", Long, "9223372036854775807", AtLeast(0), "How far behind the broker's clock a record's timestamp may be.").of_broker("log.message.timestamp.before.max.ms"),
    Setting::new("message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), "Whose clock stamps the records.").of_broker("log.message.timestamp.type"),
    Setting::new("min.cleanable.dirty.ratio", Double, "0.5", Fraction, "Accepted; topics are not compacted yet."),
    Setting::new("min.compaction.lag.ms", Long, "0", AtLeast(0), "Accepted; topics are not compacted yet.").of_broker("log.cleaner.min.compaction.lag.ms"),
    Setting::new("min.insync.replicas", Int, "1", AtLeast(1), "Replicas that must have a record before acks=all is answered.").of_broker("min.insync.replicas"),
    Setting::new("preallocate", Boolean, "false", Any, "Accepted; segments are never preallocated.").of_broker("log.preallocate"),
    Setting::new("remote.log.copy.disable", Boolean, "false", Any, "Uploads nothing more; what was uploaded stays readable until retention ends it.").in_policies(),
    Setting::new("remote.log.delete.on.disable", Boolean, "false", Any, "Must be true to turn remote.storage.enable off: what lies in the remote tier is deleted then.").of_broker("remote.log.delete.on.disable").in_policies(),
    Setting::new("remote.storage.enable", Boolean, "true", Any, "Rolled segments go to the object store. Compacted and internal topics stay local.").of_broker("remote.storage.enable").in_policies(),
    Setting::new("retention.bytes", Long, "-1", AtLeast(-1), "Most bytes of a partition over both tiers. -1 without bound.").of_broker("log.retention.bytes").in_policies().meaning(&[(-1, "no limit")]),
    Setting::new("retention.ms", Long, "604800000", AtLeast(-1), "How long records are kept over both tiers. -1 for ever.").of_broker("log.retention.ms").in_policies().meaning(&[(-1, "for ever")]),
    Setting::new("segment.bytes", Int, "1073741824", AtLeast(1_048_576), "A segment is rolled before it exceeds so many bytes. Only rolled segments are uploaded.").of_broker("log.segment.bytes").in_policies(),
    Setting::new("segment.index.bytes", Int, "10485760", AtLeast(4), "The bound of an index file; a segment is rolled when one is full.").of_broker("log.index.size.max.bytes"),
    Setting::new("segment.jitter.ms", Long, "0", AtLeast(0), "Accepted; segments are rolled without jitter.").of_broker("log.roll.jitter.ms"),
    Setting::new("segment.ms", Long, "604800000", AtLeast(1), "A segment is rolled when its records span so long.").of_broker("log.roll.ms").in_policies(),
    Setting::new("tiering.cache.class", Text, "normal", OneOf(CACHE_CLASSES), "What the read cache does with the topic's chunks once they are used: with `normal` those that are used again after a while stay before others; with `keep` they go last, and have three quarters of the cache at most; with `pass` they go first, and are there for readers that are close together. A change counts for a chunk from its next use on.").in_policies(),
    Setting::new("tiering.copy.max.bytes.per.second", Long, "-1", OffOrAtLeast(1), "The rate that the uploads of all the topic's partitions on a broker keep to together. The broker's remote.log.manager.copy.max.bytes.per.second counts besides: the lower one holds. What a topic produces beyond it waits on the local disk. -1 without bound.").in_policies().meaning(&[(-1, "no limit")]),
    Setting::new("tiering.disk.full.policy", Text, "block", OneOf(DISK_FULL), "What happens when the disk runs full: `block` refuses producers until there is room; `drop-uploaded-first` gives up the oldest local segments that are uploaded, and refuses producers when there are none. Nothing that the object store lacks goes.").of_broker("tiering.disk.full.policy").in_policies(),
    Setting::new("tiering.fetch.max.bytes.per.second", Long, "-1", OffOrAtLeast(1), "The rate at which all readers of the topic together are handed what the remote tier alone has, whether it comes from the store or the read cache. The broker's bounds count besides. -1 without bound.").in_policies().meaning(&[(-1, "no limit")]),
    Setting::new("tiering.max.upload.lag.ms", Long, "-1", AtLeast(-1), "An active segment is rolled and uploaded when its first record is so old: the bound of what a lost disk can lose. -1 for segment.ms alone.").of_broker("tiering.max.upload.lag.ms").in_policies().meaning(&[(-1, "by segment.ms alone")]),
    Setting::new("unclean.leader.election.enable", Boolean, "false", Any, "Accepted; a single broker elects nobody.").of_broker("unclean.leader.election.enable"),
];

/// Kafka's way to segments smaller than `segment.bytes` allows, for tests; described nowhere.
pub(super) const INTERNAL_SEGMENT_BYTES: Setting = Setting::new(
    "internal.segment.bytes",
    Int,
    "",
    AtLeast(1),
    "segment.bytes without its lower bound.",
);
