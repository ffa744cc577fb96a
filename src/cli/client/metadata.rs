//! Which topics there are, and who leads their partitions.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::error::ClientError;
use crate::model::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};

/// A topic as the brokers tell it.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: TopicId,
    /// Kept by the brokers for themselves.
    pub(crate) is_internal: bool,
    /// By number, without a gap.
    pub(crate) partitions: Vec<Partition>,
    /// Brokers by number, as `HOST:PORT`.
    brokers: BTreeMap<i32, String>,
}

/// A partition as the brokers tell it.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) number: i32,
    /// -1 while there is none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

impl Topic {
    /// One partition, or all of them.
    pub(crate) fn chosen(&self, partition: Option<i32>) -> Result<Vec<i32>, ClientError> {
        let Some(number) = partition else {
            return Ok(self.partitions.iter().map(|partition| partition.number).collect());
        };
        if self.partitions.iter().any(|partition| partition.number == number) {
            return Ok(vec![number]);
        }
        let (topic, count) = (self.name.clone(), self.partitions.len());
        Err(ClientError::NoPartition { topic, partition: number, count })
    }

    /// The address of a partition's leader.
    pub(crate) fn leader(&self, number: i32) -> Result<&str, ClientError> {
        let leader = self.partitions.iter().find(|partition| partition.number == number);
        let address = leader.and_then(|partition| self.brokers.get(&partition.leader));
        let none = || ClientError::NoLeader { topic: self.name.clone(), partition: number };
        Ok(address.ok_or_else(none)?)
    }

    /// Partitions by the address of their leader.
    pub(crate) fn by_leader(
        &self,
        partitions: &[i32],
    ) -> Result<BTreeMap<&str, Vec<i32>>, ClientError> {
        let mut grouped: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for number in partitions {
            grouped.entry(self.leader(*number)?).or_default().push(*number);
        }
        Ok(grouped)
    }
}

/// All topics, by name.
pub(crate) async fn every_topic(connection: &mut Connection) -> Result<Vec<Topic>, ClientError> {
    ask(connection, None).await
}

/// One topic; it is not made by asking.
pub(crate) async fn topic(connection: &mut Connection, name: &str) -> Result<Topic, ClientError> {
    let mut found = ask(connection, Some(name)).await?;
    found.pop().ok_or_else(|| ClientError::NoTopic(name.to_owned()))
}

async fn ask(connection: &mut Connection, name: Option<&str>) -> Result<Vec<Topic>, ClientError> {
    let wanted = name.map(|name| {
        vec![MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() }]
    });
    let request = MetadataRequest {
        topics: wanted,
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(&request).await?;
    let body: MetadataResponse<'_> = answer.read()?;
    let brokers: BTreeMap<i32, String> = body
        .brokers
        .iter()
        .map(|broker| (broker.node_id, address_of(&broker.host, broker.port)))
        .collect();
    let mut topics = Vec::with_capacity(body.topics.len());
    for topic in &body.topics {
        topics.push(read(topic, &brokers)?);
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

fn read(
    topic: &MetadataResponseTopic<'_>,
    brokers: &BTreeMap<i32, String>,
) -> Result<Topic, ClientError> {
    let name = topic.name.clone().unwrap_or_default().into_owned();
    if topic.error_code == ErrorCode::UnknownTopicOrPartition.as_i16() {
        return Err(ClientError::NoTopic(name));
    }
    ClientError::check(topic.error_code, &format!("topic {name}"), None)?;
    let mut partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| Partition {
            number: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            in_sync: partition.isr_nodes.clone(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    let (id, is_internal) = (topic.topic_id, topic.is_internal);
    Ok(Topic { name, id, is_internal, partitions, brokers: brokers.clone() })
}

/// `HOST:PORT`, an IPv6 host in brackets.
pub(super) fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
