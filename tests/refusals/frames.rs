//! Bytes that are no request: the connection ends, the log says why, and everything else goes on.

use icecore::wire::frame;
use icecore::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use icecore::wire::messages::metadata::MetadataRequest;

use crate::broker::{Running, start};
use crate::client::Client;
use crate::log_lines::line_with;

/// A frame of these bytes, behind its length.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// Key, version, correlation id, no client id, then a body.
fn raw(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = key.to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&7_i32.to_be_bytes());
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    bytes.extend_from_slice(body);
    framed(&bytes)
}

/// A broker with an acked record, and a client that was there before the attack.
struct Attacked {
    _dir: tempfile::TempDir,
    broker: Running,
    bystander: Client,
}

impl Attacked {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let broker = start(dir.path()).await;
        let mut bystander = broker.client().await;
        assert_eq!(bystander.create("kept", &[]).await.0, 0);
        assert_eq!(bystander.acked("kept", b"before").await, 0);
        Self { _dir: dir, broker, bystander }
    }

    /// Sends bytes over a connection of its own, which has to end with the log saying why.
    async fn attack(&mut self, bytes: &[u8], said: &[&str]) {
        let mut attacker = self.broker.client().await;
        let peer = attacker.0.local_addr().expect("an address").to_string();
        attacker.send_raw(bytes).await;
        attacker.closed().await;
        let mut words = vec![peer.as_str()];
        words.extend_from_slice(said);
        line_with(&words).await;
        self.goes_on().await;
    }

    /// The other connection is served, new ones are, and the acked record is there.
    async fn goes_on(&mut self) {
        self.bystander.acked("kept", b"after").await;
        let values = self.broker.client().await.values("kept", 0).await;
        assert_eq!(values[0], b"before");
        assert_eq!(values.last().expect("records"), b"after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_frame_ends_its_connection_alone() {
    let mut attacked = Attacked::new().await;
    let mut attacker = attacked.broker.client().await;
    let peer = attacker.0.local_addr().expect("an address").to_string();
    attacker.send_raw(&raw(18, 0, &[])[..9]).await;
    tokio::io::AsyncWriteExt::shutdown(&mut attacker.0).await.expect("half closed");
    attacker.closed().await;
    line_with(&[&peer, "the client's stream ended within a frame"]).await;
    attacked.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_of_two_gigabytes_reserves_nothing_and_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    attacked
        .attack(&i32::MAX.to_be_bytes(), &["frame length out of bounds: 2147483647", "104857600"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_length_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    attacked.attack(&(-1_i32).to_be_bytes(), &["frame length out of bounds: -1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_count_that_lies_reserves_nothing_and_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    // Metadata v1 is an array of topic names: two thousand million of them, in four bytes.
    let lie = raw(3, 1, &i32::MAX.to_be_bytes());
    attacked.attack(&lie, &["array of 2147483647 elements does not fit"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_a_request_are_ignored() {
    let mut attacked = Attacked::new().await;
    let mut client = attacked.broker.client().await;
    // All topics, as librdkafka asks for them: the null array is one byte, of four that are sent.
    let all_topics = frame::request(12, 7, None, &MetadataRequest::default()).expect("a frame");
    let with_more = [&all_topics[4..], &[0, 0, 0]].concat();
    client.send_raw(&framed(&with_more)).await;
    let reply = client.receive().await;
    client.send_raw(&all_topics).await;
    assert_eq!(reply, client.receive().await, "the same answer as without them");
    attacked.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_api_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    attacked.attack(&raw(999, 0, &[]), &["unknown api", "999"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_not_served_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    // EndTxn: there are no transactions yet, and they are not advertised.
    attacked.attack(&raw(26, 3, &[]), &["version"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_version_ends_its_connection() {
    let mut attacked = Attacked::new().await;
    let request = frame::request(12, 7, None, &MetadataRequest::default()).expect("a frame");
    let mut request = request.to_vec();
    request[6..8].copy_from_slice(&99_i16.to_be_bytes());
    attacked.attack(&request, &["version", "99"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_from_the_future_is_told_which_versions_there_are() {
    let mut attacked = Attacked::new().await;
    let request = frame::request(3, 7, None, &ApiVersionsRequest::default()).expect("a frame");
    let mut request = request.to_vec();
    request[6..8].copy_from_slice(&99_i16.to_be_bytes());
    let mut client = attacked.broker.client().await;
    client.send_raw(&request).await;
    let reply = client.receive().await;
    let mut decoder = icecore::wire::Decoder::over(&reply[4..]);
    let response: ApiVersionsResponse<'_> =
        icecore::wire::Message::decode(&mut decoder, 0).expect("version 0");
    assert_eq!(response.error_code, icecore::wire::ErrorCode::UnsupportedVersion.as_i16());
    assert!(response.api_keys.iter().any(|api| api.api_key == 18));
    attacked.goes_on().await;
}
