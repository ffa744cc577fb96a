//! A broker in this process, and one connection to it that speaks in typed requests.

use std::net::SocketAddr;
use std::path::Path;

use bytes::{BufMut as _, Bytes};
use icecore::app::Bound;
use icecore::config::{BrokerConfig, Places, Sources};
use icecore::wire::frame::RequestHeader;
use icecore::wire::{Decoder, Encoder, Message as _, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct RunningBroker {
    pub(crate) kafka: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningBroker {
    pub(crate) async fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let free = Some("127.0.0.1:0".to_owned());
        let places = Places {
            data_dir: Some(data_dir.to_owned()),
            listen: free.clone(),
            http: free,
            ..Places::default()
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(owned).collect();
        let config = BrokerConfig::load(&Sources { file: None, places, settings }).expect("config");
        let bound = Bound::bind(config).await.expect("bind");
        let (kafka, _) = bound.addresses().expect("addresses");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { bound.run(stopped).await.expect("run") });
        Self { kafka, stop, task }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("the broker ends in order");
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("connect"), correlation_id: 0 }
    }

    /// Sends a request and returns the body of its answer, for [`read`].
    pub(crate) async fn call<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> Bytes {
        self.correlation_id += 1;
        let mut encoder = Encoder::with_capacity(1024);
        encoder.buf.put_i32(0);
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: self.correlation_id,
            client_id: Some("one-log".into()),
        };
        header.encode(&mut encoder).expect("header");
        request.encode(&mut encoder, version).expect("body");
        let (mut frame, _) = encoder.into_parts();
        let length = i32::try_from(frame.len() - 4).expect("length");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).await.expect("send");
        let length = self.stream.read_i32().await.expect("an answer");
        let mut answer = vec![0; usize::try_from(length).expect("length")];
        self.stream.read_exact(&mut answer).await.expect("a whole answer");
        let header = if R::API.response_header_version(version) > 0 { 5 } else { 4 };
        assert_eq!(answer[..4], self.correlation_id.to_be_bytes());
        Bytes::from(answer).slice(header..)
    }
}

/// Decodes the answer to an `R`.
pub(crate) fn read<'b, R: Request<'b>>(body: &'b Bytes, version: i16) -> R::Response<'b> {
    use icecore::wire::Message;
    let mut decoder = Decoder::over(body);
    let response = <R::Response<'b> as Message<'b>>::decode(&mut decoder, version).expect("answer");
    decoder.finish().expect("nothing behind it");
    response
}
