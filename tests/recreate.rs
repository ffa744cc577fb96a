//! A topic's name is free as soon as the topic is deleted.

#[cfg(test)]
mod client;
#[cfg(test)]
#[path = "client/topics.rs"]
mod topics;

#[cfg(test)]
mod recreate {
    use icecore::record::{BatchBuilder, Codec, NewRecord};
    use icecore::wire::messages::delete_records::{
        DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
    };
    use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
    use icecore::wire::messages::produce::{
        PartitionProduceData, ProduceRequest, TopicProduceData,
    };

    use super::client::{Broker, Client};
    use super::topics::creation;

    async fn create(client: &mut Client) -> i16 {
        let settings = [("internal.segment.bytes", "300"), ("local.retention.bytes", "1")];
        client.ask(7, &creation("again", 2, &settings)).await.topics[0].error_code
    }

    async fn delete(client: &mut Client) -> i16 {
        let state = DeleteTopicState { name: Some("again".into()), ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
        client.ask(6, &request).await.responses[0].error_code
    }

    /// Produces a record; the error and its offset.
    async fn produce(client: &mut Client) -> (i16, i64) {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(&NewRecord { value: Some(&[b'x'; 100]), ..Default::default() });
        let batch = builder.build().expect("a batch");
        let data = PartitionProduceData { index: 0, records: Some(batch.bytes()) };
        let topic = TopicProduceData {
            name: "again".into(),
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
        let answer = &answer.responses[0].partition_responses[0];
        (answer.error_code, answer.base_offset)
    }

    async fn delete_records(client: &mut Client, below: i64) -> i16 {
        let partition = DeleteRecordsPartition { offset: below, ..Default::default() };
        let topic = DeleteRecordsTopic { name: "again".into(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        client.ask(2, &request).await.topics[0].partitions[0].error_code
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_made_again_after_a_restart_takes_nothing_of_what_is_remembered_of_the_old_one()
    {
        let dir = tempfile::tempdir().expect("dir");
        let broker = Broker::start(dir.path(), &[]).await;
        let mut client = Client::connect(broker.address).await;
        assert_eq!(create(&mut client).await, 0);
        for offset in 0..8 {
            assert_eq!(produce(&mut client).await, (0, offset));
        }
        assert_eq!(delete_records(&mut client, 5).await, 0);
        broker.end().await;

        let broker = Broker::start(dir.path(), &[]).await;
        let mut client = Client::connect(broker.address).await;
        assert_eq!(delete(&mut client).await, 0);
        let log_starts =
            std::fs::read_to_string(dir.path().join("log/log-start-offset-checkpoint"));
        assert!(!log_starts.expect("the checkpoint").contains("again"), "its name is free");
        assert_eq!(create(&mut client).await, 0);
        assert_eq!(produce(&mut client).await, (0, 0), "a new log begins at 0");
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_that_is_deleted_and_made_again_at_once_begins_anew() {
        let dir = tempfile::tempdir().expect("dir");
        let settings = [
            ("log.retention.check.interval.ms", "1"),
            ("remote.log.manager.task.interval.ms", "1"),
        ];
        let broker = Broker::start(dir.path(), &settings).await;
        let mut client = Client::connect(broker.address).await;
        for round in 0..30 {
            assert_eq!(create(&mut client).await, 0, "creating it for the {round}th time");
            for offset in 0..8 {
                assert_eq!(produce(&mut client).await, (0, offset), "round {round}");
            }
            assert_eq!(delete(&mut client).await, 0);
        }
        broker.end().await;
    }
}
