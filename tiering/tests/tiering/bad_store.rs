//! A store that misbehaves on order: an in-memory store behind a script of faults.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// What a call can be ordered to do instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 404.
    NotFound,
    /// 403.
    Denied,
    /// 503 without having done anything.
    Unavailable,
    /// The work is done, and 503 is answered.
    FailAfterLanding,
    /// The work is done, and "exists already" is answered, as a retry of a create would.
    ExistsAfterLanding,
    /// No answer, ever.
    Hang,
    /// A success with half of the bytes.
    ShortBody,
    /// A success with one byte changed.
    WrongByte,
    /// A list that is empty: a proxy's page.
    Empty,
}

/// Which calls a fault meets: of this kind, on names that contain this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Put,
    /// The start of a multipart upload.
    Multipart,
    /// A part of one.
    Part,
    /// Its completion.
    Complete,
    Get,
    Delete,
    List,
}

#[derive(Debug, Default)]
struct Script {
    /// How many of the next matching calls meet the fault.
    orders: Vec<(Call, &'static str, Fault, usize)>,
}

/// The store. It keeps its objects as long as one clone lives.
#[derive(Clone, Debug)]
pub(crate) struct BadStore {
    pub(crate) objects: Arc<InMemory>,
    script: Arc<Mutex<Script>>,
}

impl BadStore {
    pub(crate) fn new() -> Self {
        Self { objects: Arc::new(InMemory::new()), script: Arc::default() }
    }

    /// A fixture over this store.
    pub(crate) fn fixture(&self) -> crate::fixture::Fixture {
        crate::fixture::Fixture::over(Arc::new(self.clone()))
    }

    /// The next `times` calls on names that contain `name` meet `fault`.
    pub(crate) fn order(&self, call: Call, name: &'static str, fault: Fault, times: usize) {
        self.script.lock().orders.push((call, name, fault, times));
    }

    /// The names of all objects.
    pub(crate) async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .objects
            .list(None)
            .map(|object| object.unwrap().location.to_string())
            .collect()
            .await;
        names.sort();
        names
    }

    fn meets(&self, call: Call, name: &Path) -> Option<Fault> {
        let mut script = self.script.lock();
        let order = script.orders.iter_mut().find(|(ordered, part, _, times)| {
            *ordered == call && name.as_ref().contains(part) && *times > 0
        })?;
        order.3 -= 1;
        Some(order.2)
    }

    async fn before(&self, call: Call, name: &Path) -> Result<Option<Fault>> {
        match self.meets(call, name) {
            Some(Fault::NotFound) => {
                Err(Error::NotFound { path: name.to_string(), source: "ordered".into() })
            }
            Some(Fault::Denied) => {
                Err(Error::PermissionDenied { path: name.to_string(), source: "ordered".into() })
            }
            Some(Fault::Unavailable) => Err(unavailable()),
            Some(Fault::Hang) => std::future::pending().await,
            fault => Ok(fault),
        }
    }
}

fn unavailable() -> Error {
    let source = "Server returned non-2xx status code: 503 Service Unavailable: ordered".into();
    Error::Generic { store: "bad", source }
}

fn after_landing(fault: Option<Fault>, name: &Path) -> Result<()> {
    match fault {
        Some(Fault::FailAfterLanding) => Err(unavailable()),
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
        let mut got = self.objects.get_opts(name, options).await?;
        if head || !matches!(fault, Some(Fault::ShortBody | Fault::WrongByte)) {
            return Ok(got);
        }
        let (meta, range) = (got.meta.clone(), got.range.clone());
        let attributes = std::mem::take(&mut got.attributes);
        let mut bytes = got.bytes().await?.to_vec();
        match fault {
            Some(Fault::ShortBody) => bytes.truncate(bytes.len() / 2),
            _ => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
        }
        let body = stream::once(async move { Ok(Bytes::from(bytes)) }).boxed();
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
                object_store::ObjectStoreExt::delete(&*store.objects, &name).await?;
                after_landing(fault, &name)?;
                Ok(name)
            }
        };
        names.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.meets(Call::List, prefix.unwrap_or(&Path::default())) {
            Some(Fault::Empty) => stream::empty().boxed(),
            Some(Fault::Hang) => stream::pending().boxed(),
            Some(_) => stream::once(async { Err(unavailable()) }).boxed(),
            None => self.objects.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.before(Call::List, prefix.unwrap_or(&Path::default())).await? {
            Some(Fault::Empty) => Ok(ListResult {
                common_prefixes: Vec::new(),
                objects: Vec::new(),
                extensions: Default::default(),
            }),
            _ => self.objects.list_with_delimiter(prefix).await,
        }
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        panic!("nothing is ever copied, and {to} least of all")
    }
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
        let part = self.upload.put_part(bytes);
        let (store, name) = (self.store.clone(), self.name.clone());
        Box::pin(async move {
            let fault = store.before(Call::Part, &name).await?;
            part.await?;
            after_landing(fault, &name)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fault = self.store.before(Call::Complete, &self.name).await?;
        let completed = self.upload.complete().await?;
        after_landing(fault, &self.name)?;
        Ok(completed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
