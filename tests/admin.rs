//! What admin clients ask, over real sockets, against a whole broker.

mod client;

use client::{Broker, Client};
use icecore::wire::ErrorCode;
use icecore::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use icecore::wire::messages::describe_cluster::DescribeClusterRequest;
use icecore::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use icecore::wire::messages::list_config_resources::ListConfigResourcesRequest;
use icecore::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use icecore::wire::messages::metadata::MetadataRequest;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// A broker with a topic of two partitions, and a client.
struct Asked {
    _dir: tempfile::TempDir,
    broker: Broker,
    client: Client,
}

async fn with_topic(name: &'static str, settings: &[(&str, &str)]) -> Asked {
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), settings).await;
    let mut client = Client::connect(broker.address).await;
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
    Asked { _dir: dir, broker, client }
}

#[tokio::test]
async fn no_election_is_needed_where_the_only_replica_leads() {
    let mut asked = with_topic("led", &[]).await;
    let named = |topic: &'static str, partitions: &[i32]| TopicPartitions {
        topic: topic.into(),
        partitions: partitions.to_vec(),
    };
    for election_type in [PREFERRED, UNCLEAN] {
        let topics = vec![named("led", &[0, 1, 2]), named("nowhere", &[0])];
        let request = ElectLeadersRequest {
            election_type,
            topic_partitions: Some(topics),
            ..Default::default()
        };
        let answer = asked.client.ask(2, &request).await;
        assert_eq!(answer.error_code, 0);
        let results = answer.replica_election_results.iter().flat_map(|topic| {
            let codes = topic.partition_result.iter().map(|p| (p.partition_id, p.error_code));
            codes.map(|(partition, code)| (&*topic.topic, partition, code))
        });
        let not_needed = ErrorCode::ElectionNotNeeded.as_i16();
        let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
        let expected = [
            ("led", 0, not_needed),
            ("led", 1, not_needed),
            ("led", 2, unknown),
            ("nowhere", 0, unknown),
        ];
        assert_eq!(results.collect::<Vec<_>>(), expected);
    }
    asked.broker.end().await;
}

#[tokio::test]
async fn an_election_everywhere_changes_nothing_and_one_of_no_kind_is_refused() {
    let mut asked = with_topic("led", &[]).await;
    let everywhere = ElectLeadersRequest { topic_partitions: None, ..Default::default() };
    let answer = asked.client.ask(2, &everywhere).await;
    assert_eq!(answer.error_code, 0);
    assert!(answer.replica_election_results.iter().all(|topic| topic.partition_result.is_empty()));
    let no_kind = ElectLeadersRequest { election_type: 2, ..everywhere };
    assert_eq!(asked.client.ask(2, &no_kind).await.error_code, ErrorCode::InvalidRequest.as_i16());
    asked.broker.end().await;
}

#[tokio::test]
async fn no_partition_is_ever_on_the_move() {
    let mut asked = with_topic("still", &[]).await;
    let named = |name: &'static str| ListPartitionReassignmentsTopics {
        name: name.into(),
        partition_indexes: vec![0, 7],
    };
    for topics in [None, Some(vec![named("still"), named("nowhere")])] {
        let request = ListPartitionReassignmentsRequest { topics, ..Default::default() };
        let answer = asked.client.ask(0, &request).await;
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        assert!(answer.topics.is_empty());
    }
    asked.broker.end().await;
}

#[tokio::test]
async fn what_has_settings_is_listed_by_kind() {
    let mut asked = with_topic("set", &[("node.id", "3")]).await;
    let mut list = async |version, resource_types| {
        let request = ListConfigResourcesRequest { resource_types };
        let answer = asked.client.ask(version, &request).await;
        let mut found: Vec<_> = answer
            .config_resources
            .into_iter()
            .map(|resource| (resource.resource_type, resource.resource_name.into_owned()))
            .collect();
        found.sort();
        (answer.error_code, found)
    };
    let topic = (TOPIC, "set".to_owned());
    let broker = (BROKER, "3".to_owned());
    assert_eq!(list(1, vec![TOPIC]).await, (0, vec![topic.clone()]));
    assert_eq!(list(1, vec![BROKER]).await, (0, vec![broker.clone()]));
    assert_eq!(list(1, vec![]).await, (0, vec![topic, broker]));
    let (client_metrics, groups) = (16, 32);
    assert_eq!(list(1, vec![client_metrics, groups]).await, (0, vec![]));
    assert_eq!(list(0, vec![]).await, (0, vec![]), "version 0 is about client metrics alone");
    let unsupported = ErrorCode::UnsupportedVersion.as_i16();
    assert_eq!(list(1, vec![TOPIC, 99]).await, (unsupported, vec![]));
    asked.broker.end().await;
}

#[tokio::test]
async fn a_broker_tells_its_rack_when_it_has_one() {
    for (settings, rack) in [(&[("broker.rack", "north")][..], Some("north")), (&[], None)] {
        let mut asked = with_topic("anything", settings).await;
        let metadata = asked.client.ask(12, &MetadataRequest::default()).await;
        assert_eq!(metadata.brokers[0].rack.as_deref(), rack);
        let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
        let cluster = asked.client.ask(1, &request).await;
        assert_eq!(cluster.brokers[0].rack.as_deref(), rack);
        asked.broker.end().await;
    }
}
