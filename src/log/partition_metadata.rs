//! `partition.metadata`: which topic a folder belongs to, so that a folder of a deleted topic is
//! never taken for that of a new one with its name.

use std::fs;
use std::io;
use std::path::Path;

use super::checkpoint::replace;
use crate::env::Edges;
use crate::model::TopicId;

/// The file's name.
pub const METADATA_FILE: &str = "partition.metadata";

/// Writes the file in a partition's folder.
///
/// # Errors
/// What the disk says.
pub fn write(folder: &Path, topic_id: TopicId, edges: &dyn Edges) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {topic_id}\n");
    replace(&folder.join(METADATA_FILE), text.as_bytes(), edges)
}

/// Reads the topic's id; `None` when the file is absent or not of this form.
///
/// # Errors
/// What the disk says.
pub fn read(folder: &Path) -> io::Result<Option<TopicId>> {
    match fs::read_to_string(folder.join(METADATA_FILE)) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version: ")?;
    let id = lines.next()?.strip_prefix("topic_id: ")?;
    (version == "0").then(|| id.parse().ok()).flatten()
}
