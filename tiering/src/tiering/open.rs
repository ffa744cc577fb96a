//! Opening: settings, store, manifest, and whether the two belong together.
//!
//! ```text
//! marker   manifest knows   then
//! none     nothing          a new store: the marker is created; refused for a store that is only read
//! found    nothing          a new manifest on an old store: reconcile before anything is collected
//!                           (a store that is only read is followed instead: see `follow`)
//! found    the same         go on
//! found    another          refused: another store
//! none     a store          refused: the store was emptied or replaced
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::path::Path;
use tokio::sync::Semaphore;

use super::{InFlight, Tiering};
use crate::cache::{CacheOpenError, CacheSettings};
use crate::clock::Clock;
use crate::config::{SettingError, TieringConfig};
use crate::first_cluster;
use crate::key::{KeyError, Layout};
use crate::manifest::{Facts, Manifest, ManifestError};
use crate::marker::{self, MarkerError};
use crate::meta::MetaNumbers;
use crate::read::Reader;
use crate::reconcile::HEADERS_AT_ONCE;
use crate::share::SharedCache;
use crate::store::{CheckError, Store, StoreError, StoreOpenError};

/// How long to wait for the cache folder, or for its owner to let this process in: another tiering of
/// this process, or a process that ends, keeps it until its last read and write are done.
const CLAIM_WAIT: Duration = Duration::from_secs(5);

/// Why tiered storage cannot start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The prefix or the cluster's id cannot stand in object names.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store's URL, options or credentials are wrong.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The store does not answer.
    #[error("the store {url} is out of reach: check its address and the network: {source}")]
    Unreachable {
        /// The store.
        url: String,
        /// What happened.
        source: StoreError,
    },
    /// The bucket does not exist.
    #[error("the bucket {bucket:?} does not exist at {url}: create it, or correct the URL")]
    NoBucket {
        /// The store.
        url: String,
        /// The bucket.
        bucket: String,
    },
    /// The credentials do not allow what tiering does.
    #[error(
        "the store {url} does not allow to write, read and delete under its prefix: check \
         the keys, and give them these permissions: {source}"
    )]
    Denied {
        /// The store.
        url: String,
        /// What was refused.
        source: StoreError,
    },
    /// The credentials do not allow to read.
    #[error(
        "the store {url} does not allow to read and list under its prefix: check the keys, and \
         give them these permissions: {source}"
    )]
    DeniedToRead {
        /// The store.
        url: String,
        /// What was refused.
        source: StoreError,
    },
    /// The store answers, but a probe object did not come through.
    #[error("the store {url} does not keep what is written to it: {source}")]
    Unusable {
        /// The store.
        url: String,
        /// What happened.
        source: StoreError,
    },
    /// The manifest belongs to another store than this one.
    #[error(
        "the manifest {} and the store {url} do not belong together: {source} \
         (use the store that the manifest was made with; to begin anew from what this store and \
         the local files hold, move the manifest away)",
        manifest.display()
    )]
    Mismatch {
        /// The store.
        url: String,
        /// The manifest.
        manifest: PathBuf,
        /// How they differ.
        source: MarkerError,
    },
    /// The manifest cannot be opened.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The read cache cannot be set up.
    #[error(transparent)]
    Cache(#[from] CacheOpenError),
}

impl Tiering {
    /// Opens the store and the manifest and checks both.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do. [`OpenError::Unreachable`] is the one that
    /// may pass by itself.
    pub async fn open(
        config: TieringConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let store = Store::open(config.store.clone()).await?;
        Self::open_over(config, store, clock).await
    }

    /// Like [`Tiering::open`], over a store that is open already.
    ///
    /// # Errors
    /// As [`Tiering::open`].
    pub async fn open_over(
        config: TieringConfig,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        store.watched_by(Arc::clone(&config.watch));
        let layout = Layout::below(store.url_prefix(), &config.prefix, &config.cluster_id)?;
        let probe = layout.meta(&format!("probe-{}", uuid::Uuid::new_v4().simple()));
        let url = &config.store.url;
        let report = store.check(&probe).await;
        let report = report.map_err(|error| check_failed(url, &store, error))?;
        let manifest = open_manifest(&config, Arc::clone(&clock)).await?;
        let complete = meet(&config, &store, &layout, &manifest).await?;
        let (store, layout, manifest) = (Arc::new(store), Arc::new(layout), Arc::new(manifest));
        let cache = open_cache(&config, &store, Arc::clone(&clock)).await?;
        let (its_manifest, its_layout) = (Arc::clone(&manifest), Arc::clone(&layout));
        let its_store = Arc::clone(&store);
        let reader = Reader::open(&config, its_store, its_manifest, its_layout, cache.clone());
        let reader = Arc::new(reader);
        Ok(Arc::new(Self {
            store,
            layout,
            manifest,
            clock,
            cache,
            reader,
            uploads: Semaphore::new(config.uploads_max),
            header_reads: Semaphore::new(HEADERS_AT_ONCE),
            in_flight: InFlight::default(),
            collecting: tokio::sync::Mutex::default(),
            complete: AtomicBool::new(complete),
            meta_numbers: MetaNumbers::default(),
            report,
            config,
        }))
    }
}

async fn open_manifest(
    config: &TieringConfig,
    clock: Arc<dyn Clock>,
) -> Result<Manifest, ManifestError> {
    let path = config.manifest_path.clone();
    let open = tokio::task::spawn_blocking(move || Manifest::open(&path, clock));
    open.await.map_err(|_| ManifestError::Closed)?
}

/// The read cache; none for a store that is read in place.
async fn open_cache(
    config: &TieringConfig,
    store: &Store,
    clock: Arc<dyn Clock>,
) -> Result<Option<Arc<SharedCache>>, OpenError> {
    if store.local_file(&Path::from("any")).is_some() {
        return Ok(None);
    }
    let settings = CacheSettings {
        dir: config.cache_dir.clone(),
        bytes: config.cache_bytes,
        claim_wait: CLAIM_WAIT,
        patience: config.cache_patience,
        is_told: config.cache_is_told,
        clock,
        steps: Arc::clone(&config.steps),
        counters: Arc::clone(store.counters()),
    };
    let open = tokio::task::spawn_blocking(|| SharedCache::open(settings));
    let opened = open.await.map_err(|_| ManifestError::Closed)?;
    Ok(Some(Arc::new(opened?)))
}

/// Whether the manifest has every row of the store.
async fn meet(
    config: &TieringConfig,
    store: &Store,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<bool, OpenError> {
    let mismatch = |source| match source {
        MarkerError::Store(source @ StoreError::Denied { .. }) => {
            denied(config.store.url.clone(), store, source)
        }
        MarkerError::Store(source) => {
            OpenError::Unreachable { url: config.store.url.clone(), source }
        }
        source => OpenError::Mismatch {
            url: config.store.url.clone(),
            manifest: config.manifest_path.clone(),
            source,
        },
    };
    let facts = manifest.facts().await?;
    let cluster = &config.cluster_id;
    if let Some(known) = &facts.store_id {
        let vouched = marker::vouch(store, layout, cluster, Some(known)).await;
        vouched.map_err(mismatch)?;
        return Ok(facts.complete);
    }
    let found = marker::read(store, layout, cluster).await.map_err(mismatch)?;
    let (marker, complete) = match found {
        Some(marker) => (marker, false),
        None if store.is_read_only() => {
            let object = marker::name(layout).to_string();
            return Err(mismatch(MarkerError::Missing { object }));
        }
        None => {
            // Objects without a marker: somebody deleted it. Their rows are missing here.
            let topics = store.folders(&layout.topics()).await;
            let topics = topics.map_err(|error| mismatch(error.into()))?;
            let noted = first_cluster::note(store, &config.prefix, cluster).await;
            noted.map_err(|error| mismatch(error.into()))?;
            let marker = marker::create(store, layout, cluster).await.map_err(mismatch)?;
            (marker, topics.is_empty())
        }
    };
    let facts = Facts { store_id: Some(marker.store_id), complete };
    manifest.save_facts(facts).await?;
    Ok(complete)
}

fn denied(url: String, store: &Store, source: StoreError) -> OpenError {
    match store.is_read_only() {
        true => OpenError::DeniedToRead { url, source },
        false => OpenError::Denied { url, source },
    }
}

/// Why a store cannot be used, in words that say what to do.
pub(crate) fn check_failed(url: &str, store: &Store, error: CheckError) -> OpenError {
    let url = url.to_owned();
    match (error, store.bucket()) {
        (CheckError::Bucket(StoreError::NotFound { .. }), Some(bucket)) => {
            OpenError::NoBucket { url, bucket: bucket.to_owned() }
        }
        (CheckError::Bucket(source) | CheckError::Probe(source), _) => match source {
            StoreError::Denied { .. } => denied(url, store, source),
            StoreError::Unavailable { .. }
            | StoreError::TimedOut { .. }
            | StoreError::LeftAlone { .. } => OpenError::Unreachable { url, source },
            _ => OpenError::Unusable { url, source },
        },
    }
}
