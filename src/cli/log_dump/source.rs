//! Where the bytes come from: a file, or an object through the store that its URL names.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use icecore_tiering::{Store, StoreError, StoreSettings};
use url::Url;

/// No segment is larger.
const BYTES_MAX: u64 = 2 << 30;

/// A file or an object.
pub(super) enum Source {
    File(PathBuf),
    Object { store: Box<Store>, object: String },
}

impl Source {
    /// Finds out what `target` names; only a store is opened yet.
    pub(super) async fn open(target: &str, options: &[(String, String)]) -> anyhow::Result<Self> {
        if !target.contains("://") {
            return Ok(Self::File(target.into()));
        }
        if target.starts_with("file://") {
            let path = Url::parse(target).ok().and_then(|url| url.to_file_path().ok());
            return path.map(Self::File).with_context(|| format!("{target} names no file"));
        }
        // An object's name is taken as it stands, as other tools show it.
        let (root, object) = split(target).with_context(|| format!("{target} names no object"))?;
        let mut settings = StoreSettings::new(root);
        for (name, value) in options {
            settings = settings.with_option(name.clone(), value.clone());
        }
        let store = Box::new(Store::open(settings).await?);
        Ok(Self::Object { store, object: object.to_owned() })
    }

    /// The last part of the name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            Self::Object { object, .. } => object.rsplit('/').next().unwrap_or_default(),
        }
    }

    /// All bytes.
    pub(super) async fn read(&self) -> anyhow::Result<Bytes> {
        match self {
            Self::File(path) => {
                read_file(path).with_context(|| format!("cannot read {}", path.display()))
            }
            Self::Object { store, object } => Ok(store.read_object(object, BYTES_MAX).await?),
        }
    }

    /// The bytes of what has the same name with another extension, if it is there.
    pub(super) async fn sibling(&self, extension: &str) -> anyhow::Result<Option<Bytes>> {
        let beside = match self {
            Self::File(path) => read_file(&path.with_extension(extension)),
            Self::Object { store, object } => {
                let (stem, _) = object.rsplit_once('.').unwrap_or((object, ""));
                match store.read_object(&format!("{stem}.{extension}"), BYTES_MAX).await {
                    Err(StoreError::NotFound { .. }) => return Ok(None),
                    read => return Ok(Some(read?)),
                }
            }
        };
        match beside {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => bail!("cannot read the .{extension} beside it: {error}"),
        }
    }
}

/// `s3://bucket/` and the name of the object in it.
fn split(target: &str) -> Option<(&str, &str)> {
    let host_at = target.find("://")? + "://".len();
    let slash_at = target[host_at..].find('/')? + host_at;
    let (root, object) = target.split_at(slash_at + 1);
    Some((root, object)).filter(|(_, object)| !object.is_empty())
}

fn read_file(path: &Path) -> io::Result<Bytes> {
    let size = std::fs::metadata(path)?.len();
    if size > BYTES_MAX {
        return Err(io::Error::other(format!("{size} bytes are more than a segment has")));
    }
    std::fs::read(path).map(Bytes::from)
}
