//! What the store holds, by its lists.
//!
//! Only reconcile, follow, collection and checks come here; no read does. A list proves presence, never
//! absence: see [`crate::marker`].

use std::collections::HashMap;

use futures::{StreamExt as _, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::ids::{Offset, SegmentId};
use crate::key::{ObjectName, ObjectPart, TopicFolder};
use crate::partition::PartitionKey;
use crate::store::{Hidden, StoreError};
use crate::tiering::Tiering;

/// Topics whose partitions are listed at a time.
const LISTS_AT_ONCE: usize = 16;

/// Which partitions an operation looks at. A broker that shares the store with others names its
/// own: it knows nothing of the rows of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything under the cluster's prefix.
    All,
    /// These.
    Partitions(Vec<PartitionKey>),
}

impl Scope {
    pub(crate) fn has(&self, partition: &PartitionKey) -> bool {
        match self {
            Self::All => true,
            Self::Partitions(keys) => keys.iter().any(|key| key.id() == partition.id()),
        }
    }
}

/// One object of a segment, as listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: Path,
    pub(crate) size: u64,
    pub(crate) modified_ms: i64,
}

/// The objects of one upload attempt.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) log: Option<(ObjectName, Listed)>,
    pub(crate) index: Option<(ObjectName, Listed)>,
}

impl Pair {
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Listed> {
        self.log.iter().chain(&self.index).map(|(_, listed)| listed)
    }
}

/// One partition's folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: Path,
    pub(crate) topic: TopicFolder,
    pub(crate) partition: i32,
}

impl Folder {
    /// The partition, under the name that the folder shows.
    pub(crate) fn key(&self) -> PartitionKey {
        PartitionKey::new(self.topic.label.as_str(), self.topic.topic_id, self.partition)
    }
}

/// What lies in one partition's folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) pairs: HashMap<SegmentId, Pair>,
    /// Temporary files of broken-off writes (HDFS).
    pub(crate) temporary: Vec<Listed>,
    /// Names that are not ours.
    pub(crate) foreign: Vec<String>,
}

impl Tiering {
    /// The folders of a scope, and names in their place that are not ours.
    pub(crate) async fn scan_folders(
        &self,
        scope: &Scope,
    ) -> Result<(Vec<Folder>, Vec<String>), StoreError> {
        let mut foreign = Vec::new();
        let mut folders = Vec::new();
        match scope {
            Scope::Partitions(keys) => {
                let folder = |key: &PartitionKey| {
                    let path = self.layout.partition(key);
                    let topic =
                        self.layout.read_topic(&self.layout.topic(&key.topic, key.topic_id));
                    topic.map(|topic| Folder { path, topic, partition: key.partition })
                };
                folders.extend(keys.iter().filter_map(folder));
            }
            Scope::All => {
                let mut topics = Vec::new();
                for path in self.store.folders(&self.layout.topics()).await? {
                    match self.layout.read_topic(&path) {
                        Some(topic) => topics.push((path, topic)),
                        None => foreign.push(path.to_string()),
                    }
                }
                let list = |(path, topic): (Path, TopicFolder)| async move {
                    Ok::<_, StoreError>((topic, self.store.folders(&path).await?))
                };
                let lists: Vec<_> = topics.into_iter().map(list).collect();
                let mut lists = stream::iter(lists).buffered(LISTS_AT_ONCE);
                while let Some(listed) = lists.next().await {
                    let (topic, paths) = listed?;
                    for path in paths {
                        match self.layout.read_partition(&path) {
                            Some(partition) => {
                                folders.push(Folder { path, topic: topic.clone(), partition });
                            }
                            None => foreign.push(path.to_string()),
                        }
                    }
                }
            }
        }
        Ok((folders, foreign))
    }

    /// What lies in a partition's folder.
    pub(crate) async fn scan_folder(&self, folder: &Path) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        self.store.list(folder, |object| listing.add(object)).await?;
        Ok(listing)
    }

    /// The segments in a partition's folder whose objects begin at `base` or after it.
    pub(crate) async fn scan_from(
        &self,
        folder: &Path,
        base: Offset,
    ) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        // Sorts before every name that begins with this base.
        let after = folder.clone().join(format!("{base:020}"));
        self.store.list_after(folder, &after, |object| listing.add(object)).await?;
        // A store may not know how to begin there.
        listing.pairs.retain(|_, pair| pair.base >= base);
        Ok(listing)
    }
}

impl Listing {
    /// Whether it looks as if something was left out: half a pair, or offsets between two logs that
    /// no log holds.
    pub(crate) fn has_holes(&self) -> bool {
        let half = |pair: &Pair| pair.log.is_none() || pair.index.is_none();
        let mut spans: Vec<_> = self.pairs.values().map(|pair| (pair.base, pair.end)).collect();
        spans.sort_unstable();
        let mut next = spans.first().map_or(Offset::ZERO, |first| first.0);
        let hole = spans.into_iter().any(|(base, end)| {
            let missing = base > next;
            next = next.max(end.next());
            missing
        });
        hole || self.pairs.values().any(half)
    }

    /// Adds what another list of the same folder shows.
    pub(crate) fn add_all(&mut self, other: Self) {
        for (attempt, pair) in other.pairs {
            let known = self.pairs.entry(attempt).or_insert_with(|| pair.clone());
            known.log = known.log.take().or(pair.log);
            known.index = known.index.take().or(pair.index);
        }
        let new = |name: &String| !self.foreign.contains(name);
        let foreign: Vec<_> = other.foreign.into_iter().filter(new).collect();
        self.foreign.extend(foreign);
    }

    fn add(&mut self, object: ObjectMeta) {
        let modified_ms = object.last_modified.timestamp_millis();
        let listed = Listed { path: object.location, size: object.size, modified_ms };
        let text = listed.path.filename().unwrap_or_default();
        if let Ok(name) = text.parse::<ObjectName>() {
            let (base, end) = (name.base, name.end);
            let pair = self.pairs.entry(name.segment_id);
            let pair = pair.or_insert(Pair { base, end, log: None, index: None });
            match name.part {
                ObjectPart::Log => pair.log = Some((name, listed)),
                ObjectPart::Index => pair.index = Some((name, listed)),
            }
        } else if attempt_in(text).is_some() {
            self.temporary.push(listed);
        } else {
            self.foreign.push(listed.path.to_string());
        }
    }
}

/// The upload attempt in the name of a temporary file: `.x.tmp.3` on HDFS, `x#3` in a folder.
pub(crate) fn attempt_in(file_name: &str) -> Option<SegmentId> {
    let hdfs = || {
        let (name, number) = file_name.strip_prefix('.')?.rsplit_once(".tmp.")?;
        number.parse::<u32>().ok().map(|_| name)
    };
    let folder = || file_name.rsplit_once('#').map(|(name, _)| name);
    let name = hdfs().or_else(folder).unwrap_or(file_name);
    name.parse::<ObjectName>().ok().map(|name| name.segment_id)
}

/// The upload attempt that an unfinished upload or a half-written file belongs to.
pub(crate) fn attempt_of(left: &Hidden) -> Option<SegmentId> {
    let name = match left {
        Hidden::Upload { object, .. } => object.rsplit('/').next().map(str::to_owned),
        Hidden::File(file) => file.file_name().map(|name| name.to_string_lossy().into_owned()),
    };
    attempt_in(&name?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_tell_their_attempt_and_foreign_ones_none() {
        let id = "ab".repeat(16);
        let name = format!("{:020}-{:020}-5-e0-{id}.log", 1, 2);
        for temporary in [format!(".{name}.tmp.12"), format!("{name}#3"), name.clone()] {
            assert_eq!(attempt_in(&temporary).unwrap().to_string(), id, "{temporary}");
        }
        for foreign in [format!("{name}.tmp.1"), format!(".{name}.tmp.x"), "README".into()] {
            assert_eq!(attempt_in(&foreign), None, "{foreign}");
        }
    }
}
