//! From a frame to the file that answers it.
//!
//! Requests of one connection are started in order. Produce and fetch, and what waits for a group or its
//! records, go on beside later requests; everything else is finished before the next request is started,
//! as a client that does not wait for replies expects.

use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::{
    Broker, Call, alter_configs, alter_partition_reassignments, alter_replica_log_dirs,
    api_versions, create_partitions, create_topics, delete_groups, delete_records, delete_topics,
    describe_cluster, describe_configs, describe_groups, describe_log_dirs, describe_producers,
    describe_topic_partitions, elect_leaders, fetch, find_coordinator, heartbeat, init_producer_id,
    join_group, leave_group, list_config_resources, list_groups, list_offsets,
    list_partition_reassignments, metadata, offset_commit, offset_delete, offset_fetch,
    offset_for_leader_epoch, produce, read_only, served, sync_group,
};
use crate::metrics::Delayed;
use crate::wire::exchange::{CloseReason, Reply, RequestFrame, Service, Started};
use crate::wire::messages::api::ApiKey;

impl Broker {
    /// Takes up a request.
    pub async fn start(self: &Arc<Self>, frame: RequestFrame) -> Started {
        let began = Instant::now();
        let read_only = self.config.read_only();
        let is_served = |api, version| served::is_served(read_only, api, version);
        let call = match Call::new(frame, &self.metrics, is_served) {
            Ok(call) => call,
            Err(reason) => return Started::Ready(Reply::Close(reason)),
        };
        let (key, name) = (call.api.as_i16(), call.api.name());
        self.metrics.requests.api(key, name).requests.inc();
        let (span, delayed) = (call.span.clone(), delayed(call.api));
        let started = self.route(call).instrument(span.clone()).await;
        match started {
            Ok(Started::Ready(reply)) => {
                Call::answered(&span, &reply);
                self.metrics.requests.api(key, name).took(began.elapsed());
                Started::Ready(reply)
            }
            Ok(Started::Pending(reply)) => {
                let broker = self.clone();
                Started::Pending(Box::pin(async move {
                    let waits = delayed.map(|delayed| broker.metrics.requests.waits(delayed));
                    let reply = reply.instrument(span.clone()).await;
                    drop(waits);
                    Call::answered(&span, &reply);
                    let took = began.elapsed();
                    broker.metrics.requests.api(key, name).took(took);
                    if key == ApiKey::Produce.as_i16() {
                        broker.paces.produce.note(took);
                    }
                    reply
                }))
            }
            Err(reason) => Started::Ready(Reply::Close(reason)),
        }
    }

    async fn route(self: &Arc<Self>, call: Call) -> Result<Started, CloseReason> {
        if self.config.read_only()
            && let Some(no) = read_only::refuse(&call)?
        {
            return Ok(Started::Ready(no));
        }
        match call.api {
            ApiKey::Produce => produce::start(self, call).await,
            ApiKey::Fetch => fetch::start(self, call),
            ApiKey::JoinGroup => join_group::start(self, call).await,
            ApiKey::SyncGroup => sync_group::start(self, call).await,
            ApiKey::OffsetCommit => offset_commit::start(self, call).await,
            ApiKey::OffsetFetch
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete => self.answer_of_groups(&call).await.map(Started::Ready),
            _ => self.answer(&call).await.map(Started::Ready),
        }
    }

    /// The requests that are finished before the next one of their connection is started.
    async fn answer(self: &Arc<Self>, call: &Call) -> Result<Reply, CloseReason> {
        Ok(match call.api {
            ApiKey::ApiVersions => api_versions::handle(self, call)?,
            ApiKey::Metadata => call.reply(&metadata::handle(self, call, call.body()?).await),
            ApiKey::ListOffsets => {
                call.reply(&list_offsets::handle(self, call, call.body()?).await)
            }
            ApiKey::FindCoordinator => {
                call.reply(&find_coordinator::handle(self, call, call.body()?).await)
            }
            ApiKey::CreateTopics => {
                call.reply(&create_topics::handle(self, call, call.body()?).await)
            }
            ApiKey::DeleteTopics => {
                call.reply(&delete_topics::handle(self, call, call.body()?).await)
            }
            ApiKey::CreatePartitions => {
                call.reply(&create_partitions::handle(self, call, call.body()?).await)
            }
            ApiKey::DeleteRecords => {
                call.reply(&delete_records::handle(self, call, call.body()?).await)
            }
            ApiKey::InitProducerId => {
                call.reply(&init_producer_id::handle(self, call.body()?).await)
            }
            ApiKey::OffsetForLeaderEpoch => {
                call.reply(&offset_for_leader_epoch::handle(self, &call.body()?))
            }
            ApiKey::DescribeConfigs => call.reply(&describe_configs::handle(self, &call.body()?)),
            ApiKey::AlterConfigs => {
                call.reply(&alter_configs::replace_all(self, call, call.body()?).await)
            }
            ApiKey::IncrementalAlterConfigs => {
                call.reply(&alter_configs::incremental(self, call, call.body()?).await)
            }
            ApiKey::DescribeCluster => {
                call.reply(&describe_cluster::handle(self, call, &call.body()?))
            }
            ApiKey::DescribeLogDirs => {
                call.reply(&describe_log_dirs::handle(self, call.body()?).await)
            }
            ApiKey::ElectLeaders => call.reply(&elect_leaders::handle(self, &call.body()?)),
            ApiKey::AlterPartitionReassignments => {
                call.reply(&alter_partition_reassignments::handle(self, &call.body()?))
            }
            ApiKey::AlterReplicaLogDirs => {
                call.reply(&alter_replica_log_dirs::handle(self, &call.body()?))
            }
            ApiKey::ListPartitionReassignments => {
                call.reply(&list_partition_reassignments::handle(&call.body()?))
            }
            ApiKey::DescribeProducers => {
                call.reply(&describe_producers::handle(self, call.body()?).await)
            }
            ApiKey::ListConfigResources => {
                call.reply(&list_config_resources::handle(self, call, &call.body()?))
            }
            ApiKey::DescribeTopicPartitions => {
                call.reply(&describe_topic_partitions::handle(self, &call.body()?))
            }
            // `served` lists what is routed; a key that it lists and this does not is our mistake.
            api => return Err(CloseReason::UnknownApi { key: api.as_i16() }),
        })
    }
}

impl Broker {
    /// What groups answer at once.
    async fn answer_of_groups(&self, call: &Call) -> Result<Reply, CloseReason> {
        Ok(match call.api {
            ApiKey::OffsetFetch => {
                call.reply(&offset_fetch::handle(self, call, call.body()?).await)
            }
            ApiKey::Heartbeat => call.reply(&heartbeat::handle(self, call.body()?).await),
            ApiKey::LeaveGroup => call.reply(&leave_group::handle(self, call, call.body()?).await),
            ApiKey::DescribeGroups => {
                call.reply(&describe_groups::handle(self, call, call.body()?).await)
            }
            ApiKey::ListGroups => call.reply(&list_groups::handle(self, call.body()?).await),
            ApiKey::DeleteGroups => {
                call.reply(&delete_groups::handle(self, call, call.body()?).await)
            }
            ApiKey::OffsetDelete => call.reply(&offset_delete::handle(self, call.body()?).await),
            api => return Err(CloseReason::UnknownApi { key: api.as_i16() }),
        })
    }
}

/// In which of Kafka's purgatories a request waits that is not answered at once.
fn delayed(api: ApiKey) -> Option<Delayed> {
    match api {
        ApiKey::Produce => Some(Delayed::Produce),
        ApiKey::Fetch => Some(Delayed::Fetch),
        ApiKey::JoinGroup | ApiKey::SyncGroup => Some(Delayed::Rebalance),
        _ => None,
    }
}

/// The broker as the sockets know it.
pub struct KafkaService(pub Arc<Broker>);

impl Service for KafkaService {
    async fn start(&self, frame: RequestFrame) -> Started {
        self.0.start(frame).await
    }
}
