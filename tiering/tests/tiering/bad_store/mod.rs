//! A store that misbehaves on order: an in-memory store behind a script of faults.

mod pipe;
mod script;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, TryChunksError};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use crate::fixture::FIRST_CLUSTER;

pub(crate) use pipe::Pipe;
pub(crate) use script::{Call, Fault};
use script::{Order, Script};

/// Names in one request.
const DELETED_AT_ONCE: usize = 256;

/// The store. It keeps its objects as long as one clone lives.
#[derive(Clone, Debug)]
pub(crate) struct BadStore {
    pub(crate) objects: Arc<InMemory>,
    script: Arc<Mutex<Script>>,
    remembered: Arc<Mutex<Vec<ObjectMeta>>>,
    pipe: Arc<Mutex<Option<Arc<Pipe>>>>,
}

impl BadStore {
    pub(crate) fn new() -> Self {
        Self {
            objects: Arc::new(InMemory::new()),
            script: Arc::default(),
            remembered: Arc::default(),
            pipe: Arc::default(),
        }
    }

    /// A fixture over this store.
    pub(crate) fn fixture(&self) -> crate::fixture::Fixture {
        crate::fixture::Fixture::over(Arc::new(self.clone()))
    }

    /// The next `times` calls on names that contain `name` meet `fault`.
    pub(crate) fn order(&self, call: Call, name: &'static str, fault: Fault, times: usize) {
        self.script.lock().add(Order { call, name, fault, times });
    }

    /// Calls that are still to meet a fault.
    pub(crate) fn unmet(&self) -> usize {
        self.script.lock().left()
    }

    /// From now on bytes go through this pipe.
    pub(crate) fn through(&self, pipe: Pipe) {
        *self.pipe.lock() = Some(Arc::new(pipe));
    }

    /// What a list that lags will show.
    pub(crate) async fn remember(&self) {
        let listed: Vec<_> = self.objects.list(None).map(|object| object.unwrap()).collect().await;
        *self.remembered.lock() = listed;
    }

    /// The names of all objects of the cluster.
    pub(crate) async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .objects
            .list(None)
            .map(|object| object.unwrap().location.to_string())
            .collect()
            .await;
        names.retain(|name| !name.ends_with(FIRST_CLUSTER));
        names.sort();
        names
    }

    fn meets(&self, call: Call, name: &Path) -> Option<Fault> {
        self.script.lock().meets(call, name.as_ref())
    }

    fn pipe(&self) -> Option<Arc<Pipe>> {
        self.pipe.lock().clone()
    }

    async fn pass(&self, bytes: usize) {
        if let Some(pipe) = self.pipe() {
            pipe.pass(bytes).await;
        }
    }

    async fn before(&self, call: Call, name: &Path) -> Result<Option<Fault>> {
        apply(self.meets(call, name), name).await
    }

    /// What a list that lags shows below a prefix.
    fn stale(&self, prefix: &Path) -> Vec<ObjectMeta> {
        let remembered = self.remembered.lock();
        let below = remembered.iter().filter(|object| object.location.prefix_matches(prefix));
        below.cloned().collect()
    }
}

/// A fault that stands in for the work ends the call here; another one is given back.
async fn apply(fault: Option<Fault>, name: &Path) -> Result<Option<Fault>> {
    match fault {
        Some(Fault::NotFound) => {
            Err(Error::NotFound { path: name.to_string(), source: "ordered".into() })
        }
        Some(Fault::Denied) => {
            Err(Error::PermissionDenied { path: name.to_string(), source: "ordered".into() })
        }
        Some(Fault::Unavailable) => Err(status_error(503)),
        Some(Fault::Status(status)) => Err(status_error(status)),
        Some(Fault::OutOfSpace) => Err(io_error(io::ErrorKind::StorageFull)),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Slow(latency)) => {
            tokio::time::sleep(latency).await;
            Ok(None)
        }
        fault => Ok(fault),
    }
}

fn status_error(status: u16) -> Error {
    let source = format!("Server returned non-2xx status code: {status} as ordered").into();
    Error::Generic { store: "bad", source }
}

fn io_error(kind: io::ErrorKind) -> Error {
    Error::Generic { store: "bad", source: Box::new(io::Error::from(kind)) }
}

/// A few bytes of a body, and no end.
fn stalled(bytes: &Bytes) -> impl futures::Stream<Item = Result<Bytes>> + use<> {
    const BEFORE_IT_STALLS: usize = 100;
    let first = bytes.slice(..bytes.len().min(BEFORE_IT_STALLS));
    stream::once(async move { Ok(first) }).chain(stream::pending())
}

/// The pieces of a body that is cut, short or wrong.
fn spoiled(fault: Fault, bytes: &Bytes) -> Vec<Result<Bytes>> {
    let half = bytes.slice(..bytes.len() / 2);
    match fault {
        Fault::Cut => vec![Ok(half), Err(io_error(io::ErrorKind::UnexpectedEof))],
        Fault::ShortBody => vec![Ok(half)],
        Fault::WrongByte => {
            let mut wrong = bytes.to_vec();
            let middle = wrong.len() / 2;
            wrong[middle] ^= 0x10;
            vec![Ok(wrong.into())]
        }
        _ => vec![Ok(bytes.clone())],
    }
}

/// What is left of a list that is empty, short or cut.
fn shortened<T>(fault: Fault, mut listed: Vec<T>) -> (Vec<T>, Option<Error>) {
    let kept = if fault == Fault::Empty { 0 } else { listed.len() / 2 };
    listed.truncate(kept);
    (listed, (fault == Fault::Cut).then(|| io_error(io::ErrorKind::UnexpectedEof)))
}

fn pretended() -> PutResult {
    PutResult { e_tag: None, version: None, extensions: Default::default() }
}

fn after_landing(fault: Option<Fault>, name: &Path) -> Result<()> {
    match fault {
        Some(Fault::FailAfterLanding) => Err(status_error(503)),
        Some(Fault::ExistsAfterLanding) => {
            Err(Error::AlreadyExists { path: name.to_string(), source: "ordered".into() })
        }
        _ => Ok(()),
    }
}

impl fmt::Display for BadStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that misbehaves on order")
    }
}

#[async_trait]
impl ObjectStore for BadStore {
    async fn put_opts(&self, name: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        let fault = self.before(Call::Put, name).await?;
        if fault == Some(Fault::Pretend) {
            return Ok(pretended());
        }
        self.pass(bytes.content_length()).await;
        let put = self.objects.put_opts(name, bytes, o).await?;
        after_landing(fault, name)?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        name: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.before(Call::Multipart, name).await?;
        let upload = self.objects.put_multipart_opts(name, options).await?;
        after_landing(fault, name)?;
        Ok(Box::new(BadUpload { upload, store: self.clone(), name: name.clone() }))
    }

    async fn get_opts(&self, name: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let fault = self.before(Call::Get, name).await?;
        let got = self.objects.get_opts(name, options).await?;
        if head {
            return Ok(got);
        }
        let (meta, range, attributes) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let bytes = got.bytes().await?;
        let body = match (fault, self.pipe()) {
            (Some(Fault::Stall), _) => stalled(&bytes).boxed(),
            (Some(fault), _) => stream::iter(spoiled(fault, &bytes)).boxed(),
            (None, Some(pipe)) => Pipe::body(pipe, bytes),
            (None, None) => stream::once(async move { Ok(bytes) }).boxed(),
        };
        let (payload, extensions) = (GetResultPayload::Stream(body), Default::default());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        names: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |name: Result<Path>| {
            let store = store.clone();
            async move {
                let name = name?;
                let fault = store.before(Call::Delete, &name).await?;
                if fault == Some(Fault::Pretend) {
                    return Ok(name);
                }
                object_store::ObjectStoreExt::delete(&*store.objects, &name).await?;
                after_landing(fault, &name)?;
                Ok(name)
            }
        };
        // As the cloud's clients do it: a request that fails is one error for all its names.
        let store = self.clone();
        let request = move |batch: Result<Vec<Path>, _>| {
            let (store, delete) = (store.clone(), delete.clone());
            async move {
                let batch = batch.map_err(|failed: TryChunksError<Path, Error>| failed.1)?;
                store.before(Call::Batch, &batch[0]).await?;
                Ok::<_, Error>(stream::iter(batch.into_iter().map(Ok)).then(delete))
            }
        };
        names.try_chunks(DELETED_AT_ONCE).map(request).buffered(4).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let whole = prefix.cloned().unwrap_or_default();
        let store = self.clone();
        match self.meets(Call::List, &whole) {
            None => self.objects.list(prefix),
            Some(Fault::Stale) => stream::iter(self.stale(&whole).into_iter().map(Ok)).boxed(),
            Some(fault @ (Fault::Empty | Fault::ShortBody | Fault::Cut)) => {
                let listed = async move {
                    let all: Vec<_> = store.objects.list(Some(&whole)).collect().await;
                    let (kept, error) = shortened(fault, all);
                    stream::iter(kept.into_iter().chain(error.map(Err)))
                };
                stream::once(listed).flatten().boxed()
            }
            Some(fault) => {
                let listed = async move {
                    apply(Some(fault), &whole).await?;
                    Ok::<_, Error>(store.objects.list(Some(&whole)))
                };
                stream::once(listed).try_flatten().boxed()
            }
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let whole = prefix.cloned().unwrap_or_default();
        let fault = self.before(Call::List, &whole).await?;
        if fault == Some(Fault::Stale) {
            return Ok(folders_of(&whole, self.stale(&whole)));
        }
        let mut found = self.objects.list_with_delimiter(prefix).await?;
        let Some(fault) = fault else { return Ok(found) };
        let (folders, error) = shortened(fault, found.common_prefixes);
        found.common_prefixes = folders;
        found.objects = shortened(fault, found.objects).0;
        error.map_or(Ok(found), Err)
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        panic!("nothing is ever copied, and {to} least of all")
    }
}

/// The folders directly under a prefix, of a list of all below it.
fn folders_of(prefix: &Path, listed: Vec<ObjectMeta>) -> ListResult {
    let folder = |object: &ObjectMeta| {
        let mut below = object.location.prefix_match(prefix)?;
        let first = below.next()?;
        below.next().map(|_| prefix.clone().join(first))
    };
    let folders: BTreeSet<Path> = listed.iter().filter_map(folder).collect();
    let (common_prefixes, objects) = (folders.into_iter().collect(), Vec::new());
    ListResult { common_prefixes, objects, extensions: Default::default() }
}

#[derive(Debug)]
struct BadUpload {
    upload: Box<dyn MultipartUpload>,
    store: BadStore,
    name: Path,
}

#[async_trait]
impl MultipartUpload for BadUpload {
    fn put_part(&mut self, bytes: PutPayload) -> object_store::UploadPart {
        let length = bytes.content_length();
        let part = self.upload.put_part(bytes);
        let (store, name) = (self.store.clone(), self.name.clone());
        Box::pin(async move {
            let fault = store.before(Call::Part, &name).await?;
            store.pass(length).await;
            part.await?;
            after_landing(fault, &name)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fault = self.store.before(Call::Complete, &self.name).await?;
        if fault == Some(Fault::Pretend) {
            return Ok(pretended());
        }
        let completed = self.upload.complete().await?;
        after_landing(fault, &self.name)?;
        Ok(completed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
