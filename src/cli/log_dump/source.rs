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
        let url = Url::parse(target).with_context(|| format!("{target} is no URL"))?;
        if url.scheme() == "file" {
            let path = url.to_file_path();
            return path.map(Self::File).map_err(|()| anyhow::anyhow!("{target} names no file"));
        }
        let object = url.path().trim_start_matches('/').to_owned();
        let mut root = url;
        root.set_path("/");
        let mut settings = StoreSettings::new(root.as_str());
        for (name, value) in options {
            settings = settings.with_option(name.clone(), value.clone());
        }
        let store = Box::new(Store::open(settings).await?);
        Ok(Self::Object { store, object })
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

fn read_file(path: &Path) -> io::Result<Bytes> {
    let size = std::fs::metadata(path)?.len();
    if size > BYTES_MAX {
        return Err(io::Error::other(format!("{size} bytes are more than a segment has")));
    }
    std::fs::read(path).map(Bytes::from)
}
