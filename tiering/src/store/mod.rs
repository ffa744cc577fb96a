//! The object store, as this crate uses it: few calls, each with a deadline of our own.
//!
//! Why not the client library directly:
//! - `hdfs-native` has no time-out towards the NameNode, and a request time-out of the HTTP clients
//!   covers one try, not the call. [`Store`] puts a tokio deadline around every call.
//! - A range is checked against the known size before it is asked for, and the bytes received are
//!   counted: a short body can come as a success, and a range out of bounds is a generic error.
//! - Suffix ranges (refused by Azure), `get_ranges` (panics on a range out of bounds), rename and
//!   copy (not atomic on S3 and Azure) are not offered at all.
//! - Deletes take "not found" for success, and what a broken bulk delete left is tried again.
//!
//! Invariant: no call outlives its deadline by more than a scheduling delay, and no list by itself
//! proves that something is absent (a proxy's log-in page answers 200 and lists nothing).

mod body;
mod bulk_delete;
mod calls;
mod check;
mod circuit;
mod credentials;
mod error;
mod fence;
mod local_folder;
mod multipart;
mod open;
mod s3_admin;
mod settings;
mod throttle;
mod watch;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};

use calls::Calls;
pub(crate) use check::CheckError;
pub use check::{MultipartRule, StoreReport};
pub use circuit::StoreState;
pub(crate) use error::detail;
pub use error::{StoreCall, StoreError, WrongBytes};
pub use fence::NotOwner;
pub(crate) use fence::{Fence, VALID_FOR};
pub use multipart::Multipart;
pub use open::StoreOpenError;
pub use settings::{StoreKind, StoreSettings, Verify};
pub use watch::{CallOutcome, StoreWatch, Unwatched};

use crate::counters::Counters;
use s3_admin::S3Admin;

/// A store with deadlines. Cheap to share.
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    kind: StoreKind,
    calls: Arc<Calls>,
    verify: Verify,
    /// The part of the URL that every name starts with.
    url_prefix: String,
    /// The bucket or container, where the store has such.
    bucket: Option<String>,
    folder: Option<LocalFileSystem>,
    admin: Option<S3Admin>,
    counters: Arc<Counters>,
    fence: Arc<Fence>,
}

impl Store {
    /// Opens the store that the settings' URL names. Only S3 talks to anything, to find its
    /// credentials.
    ///
    /// # Errors
    /// When the URL or an option is wrong, or no credentials are found.
    pub async fn open(settings: StoreSettings) -> Result<Self, StoreOpenError> {
        open::open(settings).await
    }

    /// A store over a client of the caller's, for a client that this crate does not know.
    #[must_use]
    pub fn over(inner: Arc<dyn ObjectStore>, settings: StoreSettings) -> Self {
        Self::counting(inner, settings, Arc::default())
    }

    fn counting(
        inner: Arc<dyn ObjectStore>,
        settings: StoreSettings,
        counters: Arc<Counters>,
    ) -> Self {
        let verify = settings.verify.unwrap_or(Verify::ReadBack);
        let fence = Arc::new(Fence::new(settings.read_only));
        Self {
            inner,
            kind: StoreKind::Memory,
            calls: Arc::new(Calls::new(settings, Arc::clone(&counters))),
            verify,
            url_prefix: String::new(),
            bucket: None,
            folder: None,
            admin: None,
            counters,
            fence,
        }
    }

    /// Which kind of store it is.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The part of the URL that every name starts with.
    #[must_use]
    pub fn url_prefix(&self) -> &str {
        &self.url_prefix
    }

    /// Whether it is another's: nothing in it is changed then.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.fence.is_read_only()
    }

    /// Whether it is asked at all, or left alone for a while.
    #[must_use]
    pub fn state(&self) -> StoreState {
        self.calls.state()
    }

    /// Somebody looks on at its calls from now on.
    pub(crate) fn watched_by(&self, watch: Arc<dyn StoreWatch>) {
        self.calls.watched_by(watch);
    }

    /// Reads one object by its whole name, for tools.
    ///
    /// # Errors
    /// When there is none, it is larger than `max`, or the store fails.
    pub async fn read_object(&self, name: &str, max: u64) -> Result<Bytes, StoreError> {
        let object = Path::parse(name).map_err(|_| StoreError::NotFound { object: name.into() })?;
        self.get_whole(&object, max).await
    }

    pub(crate) fn verify(&self) -> Verify {
        self.verify
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What lets changes through.
    pub(crate) fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Refuses to begin a change of the store that this process does not own.
    fn check_fence(&self, object: &Path) -> Result<(), StoreError> {
        self.let_through(object, self.fence.check())
    }

    fn let_through(&self, object: &Path, may: Result<(), NotOwner>) -> Result<(), StoreError> {
        may.map_err(|reason| StoreError::NotOwner { object: object.to_string(), reason })
    }

    /// The file that holds an object, when the store is a folder.
    pub(crate) fn local_file(&self, object: &Path) -> Option<PathBuf> {
        self.folder.as_ref()?.path_to_filesystem(object).ok()
    }

    /// Reads `range` of an object of `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::WrongBytes`] for a range that is empty or out of bounds, without a request, and
    /// for a body of another length; else what the store says.
    pub async fn get_range(
        &self,
        object: &Path,
        size: u64,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let expected = range.end.saturating_sub(range.start);
        if range.start >= range.end || range.end > size {
            let wrong = WrongBytes::Length { expected, received: 0 };
            return Err(StoreError::wrong_bytes(object, wrong));
        }
        self.counters.gets.bump();
        let options = GetOptions::new().with_range(Some(range));
        let get = async { self.inner.get_opts(object, options).await?.bytes().await };
        let bytes = self.within(StoreCall::Get, object, expected, get).await?;
        self.counters.fetched_bytes.add(bytes.len() as u64);
        self.check_length(object, expected, &bytes)?;
        Ok(bytes)
    }

    /// Reads a whole object whose size is not known; refuses one larger than `max`.
    ///
    /// # Errors
    /// [`StoreError::WrongBytes`] when it is larger, or its body shorter than the store says.
    pub async fn get_whole(&self, object: &Path, max: u64) -> Result<Bytes, StoreError> {
        self.get_whole_into(object, max, |_| std::future::ready(())).await.map(|(bytes, ())| bytes)
    }

    /// The same; between the head of the answer and its body, which may be large, it is told how
    /// many bytes will come, and waits for room for them.
    pub(crate) async fn get_whole_into<R, F: Future<Output = R>>(
        &self,
        object: &Path,
        max: u64,
        make_room: impl FnOnce(u64) -> F,
    ) -> Result<(Bytes, R), StoreError> {
        self.counters.gets.bump();
        let get = self.inner.get(object);
        let (found, mut attempt) = self.calls.open(StoreCall::Get, object, get).await?;
        let size = found.meta.size;
        let room = make_room(size.min(max)).await;
        let body = async {
            let bytes = if size > max { Ok(Bytes::new()) } else { found.bytes().await };
            bytes.map_err(|error| StoreError::from_client(StoreCall::Get, object, &error))
        };
        let bytes = attempt.step(size.min(max), body).await?;
        self.counters.fetched_bytes.add(bytes.len() as u64);
        self.check_length(object, size, &bytes)?;
        Ok((bytes, room))
    }

    /// The size and time of an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none; else what the store says.
    pub async fn head(&self, object: &Path) -> Result<ObjectMeta, StoreError> {
        self.within(StoreCall::Head, object, 0, self.inner.head(object)).await
    }

    /// Writes an object, over one of the same name. Every name of a segment's object is fresh, so
    /// a retry that finds the first try's object overwrites the same bytes.
    ///
    /// # Errors
    /// What the store says. After [`StoreError::TimedOut`] the object may be there all the same.
    pub async fn put(&self, object: &Path, bytes: Bytes) -> Result<(), StoreError> {
        self.check_fence(object)?;
        let length = bytes.len() as u64;
        let put = self.inner.put(object, PutPayload::from_bytes(bytes));
        self.within(StoreCall::Put, object, length, put).await.map(drop)
    }

    /// Writes an object that must not exist. The answer [`StoreError::Exists`], and any answer
    /// after which the outcome is unknown, can mean our own write: the caller reads the object and
    /// compares a nonce. The one change that a process may make that does not own the store: it is
    /// how one becomes the owner.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when it is there; else what the store says.
    pub async fn create(&self, object: &Path, bytes: Bytes) -> Result<(), StoreError> {
        self.let_through(object, self.fence.check_creation())?;
        let length = bytes.len() as u64;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(object, PutPayload::from_bytes(bytes), options);
        self.within(StoreCall::Create, object, length, put).await.map(drop)
    }

    /// Starts an upload in parts.
    ///
    /// # Errors
    /// What the store says.
    pub async fn multipart(&self, object: &Path) -> Result<Multipart, StoreError> {
        self.check_fence(object)?;
        let start = self.inner.put_multipart(object);
        let upload = self.within(StoreCall::Multipart, object, 0, start).await?;
        Ok(Multipart::new(upload, object.clone(), Arc::clone(&self.calls), Arc::clone(&self.fence)))
    }

    /// Calls `each` for every object under `prefix`, in no order that a caller may rely on. On HDFS
    /// also for temporary files of writers that did not end.
    ///
    /// # Errors
    /// What the store says, after `each` was called for any part of the objects.
    pub async fn list(
        &self,
        prefix: &Path,
        each: impl FnMut(ObjectMeta),
    ) -> Result<(), StoreError> {
        self.each_listed(prefix, self.inner.list(Some(prefix)), each).await
    }

    /// As [`Store::list`], of names that come after `after` in the order of bytes. Where the store can
    /// begin its list there, no more is asked of it.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub async fn list_after(
        &self,
        prefix: &Path,
        after: &Path,
        each: impl FnMut(ObjectMeta),
    ) -> Result<(), StoreError> {
        self.each_listed(prefix, self.inner.list_with_offset(Some(prefix), after), each).await
    }

    async fn each_listed(
        &self,
        prefix: &Path,
        mut found: BoxStream<'static, object_store::Result<ObjectMeta>>,
        mut each: impl FnMut(ObjectMeta),
    ) -> Result<(), StoreError> {
        // One call of many steps: a name that comes is no call of its own.
        let mut attempt = self.calls.begin(StoreCall::List, prefix)?;
        loop {
            let next = async {
                let next = found.next().await.transpose();
                next.map_err(|e| StoreError::from_client(StoreCall::List, prefix, &e))
            };
            match attempt.step(0, next).await? {
                Some(object) => each(object),
                None => return Ok(()),
            }
        }
    }

    /// The folders directly under `prefix`, sorted. Some stores list empty ones too.
    ///
    /// # Errors
    /// What the store says; none at all is no error.
    pub async fn folders(&self, prefix: &Path) -> Result<Vec<Path>, StoreError> {
        let list = self.inner.list_with_delimiter(Some(prefix));
        let found = match self.within(StoreCall::List, prefix, 0, list).await {
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            found => found?,
        };
        let ListResult { mut common_prefixes, .. } = found;
        common_prefixes.sort_unstable();
        Ok(common_prefixes)
    }

    /// What uploads of dead processes left under `prefix` before a time, in ways that a list does
    /// not show: unfinished S3 uploads and half-written files.
    pub(crate) async fn hidden_before(
        &self,
        prefix: &Path,
        before: SystemTime,
    ) -> Result<Vec<Hidden>, StoreError> {
        if let Some(admin) = &self.admin {
            let found = admin.uploads_before(prefix, before).await?;
            let upload = |(object, id)| Hidden::Upload { object, id };
            return Ok(found.into_iter().map(upload).collect());
        }
        let Some(files) = &self.folder else { return Ok(Vec::new()) };
        let folder = files.path_to_filesystem(prefix);
        let folder = folder.map_err(|e| StoreError::from_client(StoreCall::List, prefix, &e))?;
        let found = blocking(prefix, move || local_folder::staged_before(&folder, before)).await?;
        Ok(found.into_iter().map(Hidden::File).collect())
    }

    /// Removes one left-over that a list does not show.
    pub(crate) async fn remove_hidden(&self, left: Hidden) -> Result<(), StoreError> {
        self.check_fence(&Path::from(left.to_string()))?;
        match (left, &self.admin) {
            (Hidden::Upload { object, id }, Some(admin)) => admin.abort_upload(&object, &id).await,
            (Hidden::Upload { .. }, None) => Ok(()),
            (Hidden::File(file), _) => {
                let name = Path::from(file.to_string_lossy().as_ref());
                blocking(&name, move || match std::fs::remove_file(&file) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    removed => removed,
                })
                .await
            }
        }
    }

    /// Removes the empty folders under `prefix`, in stores that keep folders.
    pub(crate) async fn remove_empty_folders(&self, prefix: &Path) -> Result<(), StoreError> {
        let Some(folder) = self.local_file(prefix) else { return Ok(()) };
        self.check_fence(prefix)?;
        blocking(prefix, move || {
            local_folder::remove_empty(&folder);
            Ok(())
        })
        .await
    }

    async fn within<T>(
        &self,
        call: StoreCall,
        object: &Path,
        bytes: u64,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        self.calls.make(call, object, bytes, work).await
    }

    fn check_length(&self, object: &Path, expected: u64, bytes: &Bytes) -> Result<(), StoreError> {
        let received = bytes.len() as u64;
        if received == expected {
            return Ok(());
        }
        self.counters.wrong_bytes.bump();
        Err(StoreError::wrong_bytes(object, WrongBytes::Length { expected, received }))
    }
}

/// Something that an upload left and that no list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    Upload { object: String, id: String },
    File(PathBuf),
}

impl std::fmt::Display for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upload { object, id } => write!(f, "unfinished upload {id} of {object}"),
            Self::File(file) => write!(f, "half-written file {}", file.display()),
        }
    }
}

/// File system work off the async threads.
async fn blocking<T: Send + 'static>(
    object: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|error| {
        let generic = object_store::Error::Generic { store: "file", source: Box::new(error) };
        StoreError::from_client(StoreCall::List, object, &generic)
    })
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("kind", &self.kind).finish_non_exhaustive()
    }
}
