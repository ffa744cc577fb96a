//! What admin clients ask, over real sockets, against a whole broker.

mod client;
#[path = "client/settings.rs"]
mod settings;
#[path = "client/topics.rs"]
mod topics;

use client::{Broker, Client};
use icecore::env::{Clock as _, SystemClock};
use icecore::model::{ProducerEpoch, ProducerId, Sequence};
use icecore::record::{BatchBuilder, Codec, NewRecord};
use icecore::wire::ErrorCode;
use icecore::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use icecore::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use icecore::wire::messages::describe_cluster::DescribeClusterRequest;
use icecore::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use icecore::wire::messages::describe_producers::{DescribeProducersRequest, TopicRequest};
use icecore::wire::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, TopicRequest as TopicName,
};
use icecore::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use icecore::wire::messages::list_config_resources::ListConfigResourcesRequest;
use icecore::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use icecore::wire::messages::metadata::MetadataRequest;
use icecore::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use settings::{BROKER, alter, described};
use topics::creation;

const TOPIC: i8 = 2;
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
    assert_eq!(client.ask(7, &creation(name, 2, &[])).await.topics[0].error_code, 0);
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
async fn a_partition_can_be_assigned_to_where_it_is_and_nowhere_else() {
    let mut asked = with_topic("still", &[("node.id", "3")]).await;
    let assign = |name: &'static str, partition_index, replicas| ReassignableTopic {
        name: name.into(),
        partitions: vec![ReassignablePartition { partition_index, replicas }],
    };
    let bad = ErrorCode::InvalidReplicaAssignment;
    let none = ErrorCode::NoReassignmentInProgress;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let cases = [
        (assign("still", 1, Some(vec![3])), ErrorCode::None),
        (assign("still", 0, Some(vec![4])), bad),
        (assign("still", 0, Some(vec![3, 3])), bad),
        (assign("still", 0, Some(vec![])), bad),
        (assign("still", 0, None), none),
        (assign("still", 2, Some(vec![3])), unknown),
        (assign("nowhere", 0, Some(vec![3])), unknown),
    ];
    let (topics, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
    let answer = asked.client.ask(0, &request).await;
    assert_eq!((answer.error_code, answer.error_message), (0, None));
    let codes = answer.responses.iter().map(|topic| topic.partitions[0].error_code);
    assert_eq!(codes.collect::<Vec<_>>(), expected.iter().map(|c| c.as_i16()).collect::<Vec<_>>());
    asked.broker.end().await;
}

#[tokio::test]
async fn a_replica_can_stay_in_the_log_folder_and_there_is_no_other() {
    let mut asked = with_topic("still", &[]).await;
    let request = DescribeLogDirsRequest { topics: None };
    let dirs = asked.client.ask(4, &request).await;
    let here = dirs.results[0].log_dir.clone();
    let mut alter = async |path, name: &'static str, partition| {
        let topic = AlterReplicaLogDirTopic { name: name.into(), partitions: vec![partition] };
        let dirs = vec![AlterReplicaLogDir { path, topics: vec![topic] }];
        let answer = asked.client.ask(2, &AlterReplicaLogDirsRequest { dirs }).await;
        answer.results[0].partitions[0].error_code
    };
    assert_eq!(alter(here.clone(), "still", 1).await, 0);
    let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
    assert_eq!(alter(here.clone(), "still", 2).await, unknown);
    assert_eq!(alter(here, "nowhere", 0).await, unknown);
    let elsewhere = alter("/elsewhere".into(), "still", 0).await;
    assert_eq!(elsewhere, ErrorCode::LogDirNotFound.as_i16());
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

/// Produces batches of two records to partition 0, each as the next one of an idempotent producer.
async fn produce(client: &mut Client, topic: &'static str, id: i64, epoch: i16, batches: i32) {
    for number in 0..batches {
        let first = Sequence(number * 2);
        let builder = BatchBuilder::new(Codec::None);
        let mut builder = builder.idempotent(ProducerId(id), ProducerEpoch(epoch), first);
        let record = NewRecord { timestamp_ms: SystemClock.now_ms(), ..NewRecord::default() };
        builder.push(&record);
        builder.push(&record);
        let batch = builder.build().expect("a batch");
        let data = PartitionProduceData { index: 0, records: Some(batch.bytes()) };
        let topic = TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let answer = client.ask(9, &request).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
}

#[tokio::test]
async fn the_producers_of_a_partition_are_told_with_their_last_sequence() {
    let mut asked = with_topic("written", &[]).await;
    let before_ms = SystemClock.now_ms();
    produce(&mut asked.client, "written", 9, 1, 3).await;
    produce(&mut asked.client, "written", 7, 0, 1).await;
    let named = |name: &'static str, partitions: &[i32]| TopicRequest {
        name: name.into(),
        partition_indexes: partitions.to_vec(),
    };
    let topics = vec![named("written", &[0, 1, 2, 0]), named("nowhere", &[0])];
    let answer = asked.client.ask(0, &DescribeProducersRequest { topics }).await;
    let written = &answer.topics[0].partitions;
    assert_eq!(written.len(), 3, "each once, however often it is named");
    let producers = &written[0].active_producers;
    let told = producers.iter().map(|p| (p.producer_id, p.producer_epoch, p.last_sequence));
    assert_eq!(told.collect::<Vec<_>>(), [(7, 0, 1), (9, 1, 5)]);
    assert!(
        producers.iter().all(|p| (before_ms..=SystemClock.now_ms()).contains(&p.last_timestamp))
    );
    assert!(producers.iter().all(|p| p.current_txn_start_offset == -1));
    assert_eq!((written[1].error_code, written[1].active_producers.len()), (0, 0));
    let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
    assert_eq!(written[2].error_code, unknown);
    assert_eq!(answer.topics[1].partitions[0].error_code, unknown);
    asked.broker.end().await;
}

#[tokio::test]
async fn a_broker_loses_settings_of_the_runtime_and_takes_none() {
    let mut asked = with_topic("anything", &[("node.id", "3")]).await;
    let (set, delete) = (0, 1);
    for resource_name in ["3", ""] {
        for (config_operation, code) in [(delete, ErrorCode::None), (set, ErrorCode::InvalidConfig)]
        {
            let config = AlterableConfig {
                name: "leader.replication.throttled.rate".into(),
                config_operation,
                value: Some("1".into()),
            };
            let resource = AlterConfigsResource {
                resource_type: BROKER,
                resource_name: resource_name.into(),
                configs: vec![config],
            };
            let resources = vec![resource];
            let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
            let answer = asked.client.ask(1, &request).await;
            assert_eq!(answer.responses[0].error_code, code.as_i16(), "{config_operation}");
        }
    }
    asked.broker.end().await;
}

/// A broker's setting: value, where it came from, and whether it cannot be changed.
async fn of_broker(
    client: &mut Client,
    broker: &'static str,
    name: &'static str,
) -> Option<(String, i8, bool)> {
    let found = described(client, (BROKER, broker), Some(&[name])).await.pop()?;
    assert_eq!(found.name, name);
    Some((found.value, found.source, found.read_only))
}

#[tokio::test]
async fn rates_of_the_remote_tier_change_at_runtime_and_outlive_a_restart() {
    const COPY: &str = "remote.log.manager.copy.max.bytes.per.second";
    let (of_one, of_all, of_start) = (2, 3, 4);
    let dir = tempfile::tempdir().expect("dir");
    let settings = [("node.id", "3"), (COPY, "1000")];
    let broker = Broker::start(dir.path(), &settings).await;
    let mut client = Client::connect(broker.address).await;
    let told = |value: &str, source| Some((value.to_owned(), source, false));
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("1000", of_start));
    assert_eq!(alter(&mut client, (BROKER, "3"), (COPY, Some("9")), true).await, 0);
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("1000", of_start), "a dry run");
    assert_eq!(alter(&mut client, (BROKER, ""), (COPY, Some("2000")), false).await, 0);
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("2000", of_all));
    assert_eq!(alter(&mut client, (BROKER, "3"), (COPY, Some("3KiB")), false).await, 0);
    for wrong in [(COPY, Some("0")), ("num.partitions", Some("4"))] {
        let invalid = ErrorCode::InvalidConfig.as_i16();
        assert_eq!(alter(&mut client, (BROKER, "3"), wrong, false).await, invalid, "{wrong:?}");
    }
    broker.end().await;

    let broker = Broker::start(dir.path(), &settings).await;
    let mut client = Client::connect(broker.address).await;
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("3072", of_one));
    assert_eq!(of_broker(&mut client, "", COPY).await, told("2000", of_all));
    assert_eq!(alter(&mut client, (BROKER, "3"), (COPY, None), false).await, 0);
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("2000", of_all));
    assert_eq!(alter(&mut client, (BROKER, ""), (COPY, None), false).await, 0);
    assert_eq!(of_broker(&mut client, "", COPY).await, None);
    assert_eq!(of_broker(&mut client, "3", COPY).await, told("1000", of_start));
    let (_, _, read_only) = of_broker(&mut client, "3", "num.partitions").await.expect("it is one");
    assert!(read_only);
    broker.end().await;
}

#[tokio::test]
async fn a_partition_is_described_with_lists_that_may_be_empty_but_are_never_null() {
    let mut asked = with_topic("described", &[("node.id", "3")]).await;
    let topics = vec![TopicName { name: "described".into() }];
    let request = DescribeTopicPartitionsRequest {
        topics,
        response_partition_limit: 10,
        ..Default::default()
    };
    let answer = asked.client.ask(0, &request).await;
    let partitions = &answer.topics[0].partitions;
    assert_eq!(partitions.len(), 2);
    for partition in partitions {
        let lists = (&partition.replica_nodes, &partition.isr_nodes, &partition.offline_replicas);
        assert_eq!(lists, (&vec![3], &vec![3], &vec![]));
        assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
        assert_eq!(partition.last_known_elr, Some(vec![]));
    }
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
