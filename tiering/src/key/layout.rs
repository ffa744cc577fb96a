//! Where the objects of one cluster lie under a store's prefix.

use object_store::path::Path;

use super::{ObjectName, ObjectPart};
use crate::ids::TopicId;
use crate::partition::PartitionKey;
use crate::segment::Segment;

/// The longest prefix that leaves room for every name below it.
const PREFIX_BYTES_MAX: usize = 400;
const CLUSTER_ID_BYTES_MAX: usize = 100;
/// A longer topic name is cut in object names; the id beside it keeps the folder unique, and the
/// whole name stands in every `.index` object.
pub(crate) const TOPIC_BYTES_SHOWN: usize = 200;

/// A part of a name that the stores would not all keep as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A character outside the alphabet, or an empty or dotted segment.
    #[error(
        "the {what} {text:?} cannot stand in object names: \
         use letters, digits, '.', '_' and '-' only"
    )]
    Alphabet {
        /// Which setting.
        what: &'static str,
        /// Its value.
        text: String,
    },
    /// Too long.
    #[error("the {what} has {length} bytes, at most {max} fit into object names")]
    TooLong {
        /// Which setting.
        what: &'static str,
        /// Its length.
        length: usize,
        /// The bound.
        max: usize,
    },
}

/// A topic's folder as its name tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFolder {
    /// The topic's name, cut to 200 bytes.
    pub label: String,
    /// The topic's identity.
    pub topic_id: TopicId,
}

impl TopicFolder {
    /// Whether the name may be longer than the label.
    #[must_use]
    pub fn label_may_be_cut(&self) -> bool {
        self.label.len() >= TOPIC_BYTES_SHOWN
    }
}

/// Makes and reads the names of one cluster's objects.
#[derive(Clone, Debug)]
pub struct Layout {
    root: String,
}

impl Layout {
    /// The layout of `cluster_id` under `prefix` (which may be empty or hold several segments).
    ///
    /// # Errors
    /// When either holds characters that some store would change, or is too long.
    pub fn new(prefix: &str, cluster_id: &str) -> Result<Self, KeyError> {
        let prefix = prefix.trim_matches('/');
        check_length("prefix", prefix, PREFIX_BYTES_MAX)?;
        check_length("cluster id", cluster_id, CLUSTER_ID_BYTES_MAX)?;
        check_segment("cluster id", cluster_id)?;
        if prefix.is_empty() {
            return Ok(Self { root: cluster_id.to_owned() });
        }
        for segment in prefix.split('/') {
            check_segment("prefix", segment)?;
            check_length("segment of the prefix", segment, 240)?;
        }
        Ok(Self { root: format!("{prefix}/{cluster_id}") })
    }

    /// The layout of `cluster_id` under two prefixes, the store's own and one below it.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub(crate) fn below(store: &str, prefix: &str, cluster_id: &str) -> Result<Self, KeyError> {
        Self::new(&joined(store, prefix), cluster_id)
    }

    /// The folder of the clusters' folders.
    pub(crate) fn clusters(store: &str, prefix: &str) -> Path {
        Path::from(joined(store, prefix))
    }

    /// Everything that belongs to the cluster.
    #[must_use]
    pub fn root(&self) -> Path {
        path(&self.root)
    }

    /// The folder of all topics.
    #[must_use]
    pub fn topics(&self) -> Path {
        path(&format!("{}/topics", self.root))
    }

    /// An object of the cluster as a whole.
    #[must_use]
    pub fn meta(&self, name: &str) -> Path {
        path(&format!("{}/meta/{name}", self.root))
    }

    /// The folder of what belongs to the cluster as a whole.
    #[must_use]
    pub fn meta_folder(&self) -> Path {
        path(&format!("{}/meta", self.root))
    }

    /// A topic's folder.
    #[must_use]
    pub fn topic(&self, topic: &str, id: TopicId) -> Path {
        let label = topic.get(..TOPIC_BYTES_SHOWN).unwrap_or(topic);
        path(&format!("{}/topics/{label}.{}", self.root, id.to_hex()))
    }

    /// A partition's folder.
    #[must_use]
    pub fn partition(&self, key: &PartitionKey) -> Path {
        let topic = self.topic(&key.topic, key.topic_id);
        path(&format!("{topic}/{}", key.partition))
    }

    /// One of a segment's objects.
    #[must_use]
    pub fn object(&self, segment: &Segment, part: ObjectPart) -> Path {
        let folder = self.partition(&segment.partition);
        path(&format!("{folder}/{}", ObjectName::of(segment, part)))
    }

    /// Reads a topic's folder from its path; `None` when it is not one of ours.
    #[must_use]
    pub fn read_topic(&self, folder: &Path) -> Option<TopicFolder> {
        let name = folder.filename()?;
        let (label, id) = name.rsplit_once('.')?;
        let topic_id = TopicId::from_hex(id).ok()?;
        (!label.is_empty()).then(|| TopicFolder { label: label.to_owned(), topic_id })
    }

    /// Reads a partition's number from its folder.
    #[must_use]
    pub fn read_partition(&self, folder: &Path) -> Option<i32> {
        let text = folder.filename()?;
        let number: i32 = text.parse().ok()?;
        (number >= 0 && number.to_string() == text).then_some(number)
    }
}

fn joined(above: &str, below: &str) -> String {
    match (above, below.trim_matches('/')) {
        ("", prefix) | (prefix, "") => prefix.to_owned(),
        (above, below) => format!("{above}/{below}"),
    }
}

/// Whether a topic's name keeps its bytes in every store.
pub(crate) fn check_topic(topic: &str) -> Result<(), KeyError> {
    check_length("topic name", topic, 249)?;
    check_segment("topic name", topic)
}

fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), KeyError> {
    let length = text.len();
    if length > max { Err(KeyError::TooLong { what, length, max }) } else { Ok(()) }
}

fn check_segment(what: &'static str, text: &str) -> Result<(), KeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let dots_only = text.bytes().all(|b| b == b'.');
    if dots_only || !text.chars().all(fits) {
        return Err(KeyError::Alphabet { what, text: text.chars().take(300).collect() });
    }
    Ok(())
}

/// `Path::from` keeps every character of our alphabet as it is, which the checks above guarantee.
fn path(text: &str) -> Path {
    let path = Path::from(text);
    debug_assert_eq!(path.as_ref(), text);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, Offset};

    fn segment(topic: &str) -> Segment {
        let key = PartitionKey::new(topic, TopicId::from_bytes([0xab; 16]), 3);
        let (base, end) = (Offset::new(5), Offset::new(9));
        Segment::sealed(key, (base, end), (1, 2), 10, LeaderEpoch::ZERO, vec![], 0)
    }

    #[test]
    fn objects_lie_under_prefix_cluster_topic_and_partition() {
        let layout = Layout::new("/a/b/", "cluster-1").unwrap();
        let object = layout.object(&segment("Orders.eu"), ObjectPart::Index);
        let text = object.as_ref();
        let id = "ab".repeat(16);
        assert!(text.starts_with(&format!("a/b/cluster-1/topics/Orders.eu.{id}/3/")), "{text}");
        assert!(text.ends_with(".index"), "{text}");
    }

    #[test]
    fn a_folder_name_gives_topic_and_partition_back() {
        let layout = Layout::new("", "c").unwrap();
        let key = segment("a.b-c").partition;
        let folder = layout.read_topic(&layout.topic("a.b-c", key.topic_id)).unwrap();
        assert_eq!((folder.label.as_str(), folder.topic_id), ("a.b-c", key.topic_id));
        assert_eq!(layout.read_partition(&layout.partition(&key)), Some(3));
        for foreign in ["c/topics/x", "c/topics/x.y", "c/topics/.00"] {
            assert_eq!(layout.read_topic(&path(foreign)), None, "{foreign}");
        }
        for foreign in ["c/topics/x/-1", "c/topics/x/01", "c/topics/x/p"] {
            assert_eq!(layout.read_partition(&path(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn the_longest_names_fit_the_narrowest_store() {
        let layout = Layout::new(&"p".repeat(240), &"c".repeat(100)).unwrap();
        let mut segment = segment(&"t".repeat(249));
        (segment.partition.partition, segment.max_timestamp_ms) = (i32::MAX, i64::MIN);
        segment.leader_epoch = LeaderEpoch::new(i32::MIN);
        segment.object.end = Offset::MAX;
        let object = layout.object(&segment, ObjectPart::Index);
        assert!(object.as_ref().len() <= 900);
        assert!(object.as_ref().split('/').all(|part| part.len() <= 240), "{object}");
        let deep = ["p".repeat(99), "p".repeat(99), "p".repeat(99), "p".repeat(99)].join("/");
        let layout = Layout::new(&deep, &"c".repeat(100)).unwrap();
        assert!(layout.object(&segment, ObjectPart::Index).as_ref().len() <= 900);
    }

    #[test]
    fn prefixes_and_clusters_that_a_store_would_change_are_refused() {
        for prefix in ["a:b", "a//b", "a b", "ä", "a/../b", "a\\b", "a%2F", "x~"] {
            assert!(Layout::new(prefix, "c").is_err(), "{prefix}");
        }
        for cluster in ["", "a/b", "..", "a:b"] {
            assert!(Layout::new("", cluster).is_err(), "{cluster}");
        }
        assert!(matches!(
            Layout::new(&"p".repeat(401), "c"),
            Err(KeyError::TooLong { what: "prefix", length: 401, max: 400 })
        ));
    }
}
