//! A client of few words: one request, one response, over a real socket. And a broker to ask.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use icecore::app::{Bound, StartError};
use icecore::config::{BrokerConfig, Places, Sources};
use icecore::wire::frame::{self, RequestHeader};
use icecore::wire::{Decoder, Message as _, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);

/// A whole broker in this process.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), StartError>>,
}

impl Broker {
    /// Starts one on free ports.
    pub(crate) async fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let any_port = || Some("127.0.0.1:0".to_owned());
        let places = Places {
            data_dir: Some(data_dir.to_owned()),
            listen: any_port(),
            http: any_port(),
            ..Places::default()
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(owned).collect();
        let config = BrokerConfig::load(&Sources { file: None, places, settings });
        Self::over(config.expect("good settings")).await
    }

    /// Starts one with a configuration of the test's own.
    pub(crate) async fn over(config: BrokerConfig) -> Self {
        let bound = Bound::bind(config).await.expect("free ports");
        let (address, _) = bound.addresses().expect("bound addresses");
        let stop = CancellationToken::new();
        let running = tokio::spawn(bound.run(stop.clone()));
        Self { address, stop, running }
    }

    /// Ends it in order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.running).await.expect("an end in time");
        ended.expect("no panic").expect("no error");
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    sent: i32,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a connection"), sent: 0 }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> R::Response<'static> {
        self.send(version, request).await;
        self.receive::<R>(version).await
    }

    /// Asks only.
    pub(crate) async fn send<'a, R: Request<'a>>(&mut self, version: i16, request: &R) {
        self.sent += 1;
        let mut encoder = frame::start(256);
        let client_id = Some(Cow::Borrowed("test"));
        let header = RequestHeader { api: R::API, version, correlation_id: self.sent, client_id };
        header.encode(&mut encoder).expect("a header");
        request.encode(&mut encoder, version).expect("a request that fits its version");
        frame::finish(&mut encoder).expect("a frame");
        self.stream.write_all(&encoder.into_parts().0).await.expect("a write");
    }

    /// Waits for the next answer.
    pub(crate) async fn receive<'a, R: Request<'a>>(
        &mut self,
        version: i16,
    ) -> R::Response<'static> {
        let read = tokio::time::timeout(SOON, self.read_frame());
        // The answer borrows its bytes, which a test may well leave behind.
        let bytes: &'static [u8] = read.await.expect("an answer in time").leak();
        let mut from = Decoder::over(bytes);
        frame::decode_response_header(&mut from, R::API, version).expect("a header");
        let response = R::Response::decode(&mut from, version).expect("a response");
        from.finish().expect("nothing after the response");
        response
    }

    async fn read_frame(&mut self) -> Vec<u8> {
        let length = self.stream.read_i32().await.expect("an answer");
        let mut bytes = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut bytes).await.expect("a whole answer");
        bytes
    }
}
