//! A store with the shape of a distant one: time to the first byte, a rate for each stream and one
//! for all of them together. It counts what is asked of it.
//!
//! It keeps its objects in another store and shapes reads alone. Time is tokio's, so that a test
//! with a paused clock takes no time at all.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

/// What a body is cut into.
const PIECE_BYTES: u64 = 128 << 10;
/// How much a stream may catch up that nobody took: what lies in the buffers of a connection.
const CATCH_UP: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) first_byte: Duration,
    pub(crate) stream_bytes_per_second: f64,
    pub(crate) total_bytes_per_second: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) gets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) lists: AtomicU64,
    open: AtomicU64,
    pub(crate) open_max: AtomicU64,
}

#[derive(Clone, Debug)]
pub(crate) struct ShapedStore {
    inner: Arc<dyn ObjectStore>,
    shape: Shape,
    pub(crate) counts: Arc<Counts>,
    free_at: Arc<Mutex<Instant>>,
}

impl ShapedStore {
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, shape: Shape) -> Self {
        let free_at = Arc::new(Mutex::new(Instant::now()));
        Self { inner, shape, counts: Arc::default(), free_at }
    }

    /// Forgets what was counted.
    pub(crate) fn count_anew(&self) {
        let Counts { gets, bytes, lists, open_max, .. } = &*self.counts;
        for counter in [gets, bytes, lists, open_max] {
            counter.store(0, Ordering::SeqCst);
        }
    }

    pub(crate) fn gets(&self) -> u64 {
        self.counts.gets.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// When the next `bytes` of all streams may be there.
    fn book(&self, bytes: u64) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.shape.total_bytes_per_second);
        let mut free_at = self.free_at.lock();
        *free_at = (*free_at).max(Instant::now() - CATCH_UP.min(takes)) + takes;
        *free_at
    }

    fn body(&self, payload: Held, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let open = Open::count(&self.counts);
        let body =
            Body { store: self.clone(), payload, rest: range, due: Instant::now(), _open: open };
        stream::unfold(body, |mut body| async move {
            let piece = body.next().await?;
            Some((piece, body))
        })
        .boxed()
    }
}

/// The bytes of an object, from where the store keeps them.
enum Held {
    Memory { bytes: Bytes, start: u64 },
    File(Arc<File>),
}

struct Body {
    store: ShapedStore,
    payload: Held,
    rest: Range<u64>,
    due: Instant,
    _open: Open,
}

impl Body {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        let len = PIECE_BYTES.min(self.rest.end - self.rest.start);
        if len == 0 {
            return None;
        }
        let takes = Duration::from_secs_f64(len as f64 / self.store.shape.stream_bytes_per_second);
        self.due = self.due.max(Instant::now() - CATCH_UP) + takes;
        sleep_until(self.due.max(self.store.book(len))).await;
        let at = self.rest.start;
        self.rest.start += len;
        self.store.counts.bytes.fetch_add(len, Ordering::SeqCst);
        Some(Ok(self.payload.read(at, len as usize).await))
    }
}

impl Held {
    async fn read(&self, at: u64, len: usize) -> Bytes {
        match self {
            Self::Memory { bytes, start } => {
                let from = (at - start) as usize;
                bytes.slice(from..from + len)
            }
            Self::File(file) => {
                let file = Arc::clone(file);
                let read = move || {
                    let mut bytes = vec![0; len];
                    file.read_exact_at(&mut bytes, at).expect("the object is whole");
                    Bytes::from(bytes)
                };
                tokio::task::spawn_blocking(read).await.expect("a read ends")
            }
        }
    }
}

/// One body that is open.
struct Open(Arc<Counts>);

impl Open {
    fn count(counts: &Arc<Counts>) -> Self {
        let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
        counts.open_max.fetch_max(open, Ordering::SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Display for ShapedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store with the shape of a distant one")
    }
}

#[async_trait]
impl ObjectStore for ShapedStore {
    async fn put_opts(&self, name: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(name, bytes, o).await
    }

    async fn put_multipart_opts(
        &self,
        name: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(name, options).await
    }

    async fn get_opts(&self, name: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.inner.get_opts(name, options).await;
        }
        self.counts.gets.fetch_add(1, Ordering::SeqCst);
        sleep(self.shape.first_byte).await;
        let got = self.inner.get_opts(name, options).await?;
        let (meta, range, attributes) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let held = match got.payload {
            GetResultPayload::File(file, _) => Held::File(Arc::new(file)),
            GetResultPayload::Stream(_) => {
                Held::Memory { bytes: got.bytes().await?, start: range.start }
            }
        };
        let payload = GetResultPayload::Stream(self.body(held, range.clone()));
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    fn delete_stream(
        &self,
        names: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(names)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.counts.lists.fetch_add(1, Ordering::SeqCst);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
