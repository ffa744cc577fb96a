//! A broker with several listeners tells each client where those who came in the same way reach it.

mod client;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use client::{Broker, Client};
use icecore::config::{BrokerConfig, Places, Sources};
use icecore::wire::messages::describe_cluster::DescribeClusterRequest;
use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
use icecore::wire::messages::metadata::MetadataRequest;

/// What a client that came in at `address` is told by the three requests that tell it.
async fn told(address: SocketAddr) -> [String; 3] {
    let mut client = Client::connect(address).await;
    let metadata = client.ask(9, &MetadataRequest::default()).await;
    let cluster = client.ask(1, &DescribeClusterRequest::default()).await;
    let group = FindCoordinatorRequest { key: "group".into(), ..Default::default() };
    let coordinator = client.ask(3, &group).await;
    assert_eq!(coordinator.error_code, 0);
    assert_eq!((metadata.brokers.len(), cluster.brokers.len()), (1, 1));
    let (by_metadata, by_cluster) = (&metadata.brokers[0], &cluster.brokers[0]);
    [
        format!("{}:{}", by_metadata.host, by_metadata.port),
        format!("{}:{}", by_cluster.host, by_cluster.port),
        format!("{}:{}", coordinator.host, coordinator.port),
    ]
}

fn config(data_dir: &Path, listen: String, advertise: &str) -> BrokerConfig {
    let places = Places {
        data_dir: Some(data_dir.to_owned()),
        listen: Some(listen),
        advertise: Some(advertise.to_owned()),
        http: Some("127.0.0.1:0".to_owned()),
        ..Places::default()
    };
    BrokerConfig::load(&Sources { places, ..Sources::default() }).expect("a configuration")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_the_address_of_the_listener_that_it_came_in_by() {
    let dir = tempfile::tempdir().expect("dir");
    // On an address that nothing else here takes ports of.
    let free = TcpListener::bind("127.0.0.2:0").expect("a free port");
    let outside = free.local_addr().expect("its address");
    drop(free);
    let listen = format!("INSIDE://127.0.0.1:0,OUTSIDE://{outside}");
    let advertise = "outside://node.example:30092,inside://pod.example:9092";
    let broker = Broker::over(config(dir.path(), listen, advertise)).await;
    assert_eq!(told(broker.address).await, ["pod.example:9092"; 3].map(str::to_owned));
    assert_eq!(told(outside).await, ["node.example:30092"; 3].map(str::to_owned));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_an_advertised_address_tells_the_one_that_it_is_bound_to() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), &[]).await;
    let address = broker.address.to_string();
    assert_eq!(told(broker.address).await, [address.clone(), address.clone(), address]);
    broker.end().await;
}
