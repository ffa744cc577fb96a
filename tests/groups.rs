//! Consumer groups over real sockets, against a whole broker.

#[cfg(test)]
mod client;
#[cfg(test)]
#[path = "client/topics.rs"]
mod topics;

#[cfg(test)]
mod groups {
    use std::borrow::Cow;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use icecore::model::TopicId;
    use icecore::wire::ErrorCode;
    use icecore::wire::messages::delete_groups::DeleteGroupsRequest;
    use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
    use icecore::wire::messages::describe_groups::DescribeGroupsRequest;
    use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
    use icecore::wire::messages::heartbeat::HeartbeatRequest;
    use icecore::wire::messages::join_group::{
        JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    };
    use icecore::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
    use icecore::wire::messages::list_groups::ListGroupsRequest;
    use icecore::wire::messages::list_offsets::{
        ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
    };
    use icecore::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
    use icecore::wire::messages::offset_commit::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use icecore::wire::messages::offset_delete::{
        OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    };
    use icecore::wire::messages::offset_fetch::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
        OffsetFetchRequestTopics,
    };
    use icecore::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

    use super::client::{Broker, Client};
    use super::topics::creation;

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn broker(dir: &Path) -> Broker {
        let settings = [
            ("group.initial.rebalance.delay.ms", "100"),
            ("offsets.topic.num.partitions", "2"),
            ("offsets.topic.segment.bytes", "1048576"),
            ("log.retention.check.interval.ms", "100"),
        ];
        Broker::start(dir, &settings).await
    }

    /// A client that knows that the coordinator is there and has read its groups back.
    async fn client(broker: &Broker) -> Client {
        let mut client = Client::connect(broker.address).await;
        let keys = vec![Cow::Borrowed("g")];
        let find = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
        assert_eq!(client.ask(4, &find).await.coordinators[0].error_code, 0);
        let began = Instant::now();
        while client.ask(5, &ListGroupsRequest::default()).await.error_code != 0 {
            assert!(began.elapsed() < DEADLINE, "the groups are not read back");
            tokio::task::yield_now().await;
        }
        client
    }

    async fn create_topic(client: &mut Client, name: &'static str) {
        assert_eq!(client.ask(7, &creation(name, 2, &[])).await.topics[0].error_code, 0);
    }

    fn join(version: i16, member_id: &str) -> JoinGroupRequest<'_> {
        let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: b"m"[..].into() };
        JoinGroupRequest {
            group_id: "g".into(),
            // The longest there is: no machine is so slow that a member expires unasked.
            session_timeout_ms: 1_800_000,
            rebalance_timeout_ms: if version == 0 { -1 } else { 20_000 },
            member_id: member_id.into(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        }
    }

    async fn joined(client: &mut Client, version: i16) -> JoinGroupResponse<'static> {
        let first = client.ask(version, &join(version, "")).await;
        if first.error_code != ErrorCode::MemberIdRequired.as_i16() {
            return first;
        }
        assert!(version >= 4 && first.member_id.starts_with("test-"));
        client.ask(version, &join(version, &first.member_id)).await
    }

    fn sync<'a>(
        version: i16,
        joined: &'a JoinGroupResponse<'_>,
        to: &[&'a str],
    ) -> SyncGroupRequest<'a> {
        let assignment = |id: &&'a str| SyncGroupRequestAssignment {
            member_id: Cow::Borrowed(*id),
            assignment: Cow::Owned(format!("for {id}").into_bytes()),
        };
        SyncGroupRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: Cow::Borrowed(&*joined.member_id),
            protocol_type: (version >= 5).then_some("consumer".into()),
            protocol_name: (version >= 5).then_some("range".into()),
            assignments: to.iter().map(assignment).collect(),
            ..Default::default()
        }
    }

    fn heartbeat<'a>(joined: &'a JoinGroupResponse<'_>) -> HeartbeatRequest<'a> {
        HeartbeatRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: Cow::Borrowed(&*joined.member_id),
            ..Default::default()
        }
    }

    fn commit(group: &'static str, offset: i64, metadata: String) -> OffsetCommitRequest<'static> {
        let partition = OffsetCommitRequestPartition {
            partition_index: 1,
            committed_offset: offset,
            committed_metadata: Some(metadata.into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        }
    }

    async fn commit_ok(client: &mut Client, group: &'static str, offset: i64) {
        let response = client.ask(9, &commit(group, offset, String::new())).await;
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    }

    /// The committed offset of `t-1`.
    async fn committed(client: &mut Client, group: &'static str) -> i64 {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![1] };
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let response = client.ask(5, &request).await;
        assert_eq!((response.error_code, response.topics[0].partitions[0].error_code), (0, 0));
        response.topics[0].partitions[0].committed_offset
    }

    #[tokio::test]
    async fn a_member_joins_syncs_beats_and_leaves_in_every_version() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let mut client = client(&broker).await;
        for version in 0..=9 {
            let joined = joined(&mut client, version).await;
            assert_eq!(joined.error_code, 0, "version {version}");
            assert_eq!((&joined.leader, joined.members.len()), (&joined.member_id, 1));
            let version = version.min(5);
            let to = [&*joined.member_id];
            let synced = client.ask(version, &sync(version, &joined, &to)).await;
            let wanted = format!("for {}", joined.member_id);
            assert_eq!((synced.error_code, &*synced.assignment), (0, wanted.as_bytes()));
            let beat = client.ask(version.min(4), &heartbeat(&joined)).await;
            assert_eq!(beat.error_code, 0);
            let member_id = joined.member_id.clone();
            let mut leave = LeaveGroupRequest { group_id: "g".into(), ..Default::default() };
            if version < 3 {
                leave.member_id = member_id;
            } else {
                leave.members = vec![MemberIdentity { member_id, ..Default::default() }];
            }
            let left = client.ask(version, &leave).await;
            assert_eq!(
                (left.error_code, left.members.iter().any(|m| m.error_code != 0)),
                (0, false)
            );
            let beat = client.ask(version.min(4), &heartbeat(&joined)).await;
            assert_eq!(beat.error_code, ErrorCode::UnknownMemberId.as_i16());
        }
        broker.end().await;
    }

    #[tokio::test]
    async fn two_members_share_a_generation_and_a_parked_join_holds_up_no_later_request() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let (mut one, mut two) = (client(&broker).await, client(&broker).await);
        let first = joined(&mut one, 3).await;
        let synced = one.ask(3, &sync(3, &first, &[&first.member_id])).await;
        assert_eq!(synced.error_code, 0);
        // The second one's join waits for the first one; what it sends after it is taken up.
        two.send(3, &join(3, "")).await;
        two.send(9, &commit("other", 1, String::new())).await;
        let began = Instant::now();
        while one.ask(3, &heartbeat(&first)).await.error_code == 0 {
            assert!(began.elapsed() < DEADLINE, "no rebalance began");
        }
        let again = one.ask(3, &join(3, &first.member_id)).await;
        let second = two.receive::<JoinGroupRequest<'_>>(3).await;
        two.receive::<OffsetCommitRequest<'_>>(9).await;
        assert_eq!((again.generation_id, second.generation_id), (2, 2));
        assert_eq!((again.members.len(), second.members.len()), (2, 0));
        let to = [&*again.member_id, &*second.member_id];
        two.send(3, &sync(3, &second, &[])).await;
        assert_eq!(one.ask(3, &sync(3, &again, &to)).await.error_code, 0);
        let synced = two.receive::<SyncGroupRequest<'_>>(3).await;
        assert_eq!(&*synced.assignment, format!("for {}", second.member_id).as_bytes());
        let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
        let described = &one.ask(6, &describe).await.groups[0];
        assert_eq!((&*described.group_state, described.members.len()), ("Stable", 2));
        broker.end().await;
    }

    #[tokio::test]
    async fn offsets_and_members_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = broker(dir.path()).await;
        let mut asking = client(&first).await;
        create_topic(&mut asking, "t").await;
        commit_ok(&mut asking, "alone", 42).await;
        let member = joined(&mut asking, 9).await;
        asking.ask(5, &sync(5, &member, &[&member.member_id])).await;
        first.end().await;
        let second = broker(dir.path()).await;
        let mut asking = client(&second).await;
        assert_eq!(committed(&mut asking, "alone").await, 42);
        assert_eq!(asking.ask(4, &heartbeat(&member)).await.error_code, 0);
        let synced = asking.ask(5, &sync(5, &member, &[])).await;
        assert_eq!(&*synced.assignment, format!("for {}", member.member_id).as_bytes());
        second.end().await;
    }

    #[tokio::test]
    async fn offsets_go_with_their_topic_and_not_to_one_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let mut client = client(&broker).await;
        create_topic(&mut client, "t").await;
        commit_ok(&mut client, "g", 42).await;
        let topic = DeleteTopicState { name: Some("t".into()), ..Default::default() };
        let delete =
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(client.ask(6, &delete).await.responses[0].error_code, 0);
        assert_eq!(committed(&mut client, "g").await, -1);
        let refused = client.ask(9, &commit("g", 1, String::new())).await;
        let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
        assert_eq!(refused.topics[0].partitions[0].error_code, unknown);
        create_topic(&mut client, "t").await;
        assert_eq!(committed(&mut client, "g").await, -1);
        broker.end().await;
    }

    #[tokio::test]
    async fn topics_are_named_by_id_in_version_ten() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let mut client = client(&broker).await;
        create_topic(&mut client, "t").await;
        let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let id = client.ask(12, &request).await.topics[0].topic_id;
        let mut by_id = commit("g", 7, "note".into());
        (by_id.topics[0].name, by_id.topics[0].topic_id) = ("".into(), id);
        let kept = client.ask(10, &by_id).await;
        assert_eq!((kept.topics[0].topic_id, kept.topics[0].partitions[0].error_code), (id, 0));
        let stranger = TopicId::random();
        let named = |topic_id| OffsetFetchRequestTopics {
            topic_id,
            partition_indexes: vec![1],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![named(stranger), named(id)]),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let fetched = client.ask(10, &request).await;
        let [unknown, known] = &fetched.groups[0].topics[..] else { panic!("two topics") };
        assert_eq!(unknown.partitions[0].error_code, ErrorCode::UnknownTopicId.as_i16());
        assert_eq!((known.topic_id, known.partitions[0].committed_offset), (id, 7));
        assert_eq!(known.partitions[0].metadata.as_deref(), Some("note"));
        broker.end().await;
    }

    #[tokio::test]
    async fn groups_are_listed_and_deleted_and_errors_are_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let mut client = client(&broker).await;
        create_topic(&mut client, "t").await;
        let code = client.ask(9, &JoinGroupRequest { group_id: "".into(), ..join(9, "") }).await;
        assert_eq!(code.error_code, ErrorCode::InvalidGroupId.as_i16());
        let short = JoinGroupRequest { session_timeout_ms: 10, ..join(9, "") };
        let code = client.ask(9, &short).await.error_code;
        assert_eq!(code, ErrorCode::InvalidSessionTimeout.as_i16());
        let long = "x".repeat(40_000);
        let code = client.ask(9, &JoinGroupRequest { group_id: long.into(), ..join(9, "") }).await;
        assert_eq!(code.error_code, ErrorCode::InvalidGroupId.as_i16());
        let describe = DescribeGroupsRequest { groups: vec!["no".into()], ..Default::default() };
        let (old, new) = (client.ask(5, &describe).await, client.ask(6, &describe).await);
        assert_eq!((&*old.groups[0].group_state, old.groups[0].error_code), ("Dead", 0));
        assert_eq!(new.groups[0].error_code, ErrorCode::GroupIdNotFound.as_i16());
        commit_ok(&mut client, "alone", 1).await;
        joined(&mut client, 9).await;
        let listed = client.ask(5, &ListGroupsRequest::default()).await;
        let names: Vec<_> = listed.groups.iter().map(|group| &*group.group_id).collect();
        assert_eq!(names, ["alone", "g"]);
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 1 }];
        let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions }];
        let forget = OffsetDeleteRequest { group_id: "alone".into(), topics };
        let forgotten = client.ask(0, &forget).await;
        assert_eq!((forgotten.error_code, forgotten.topics[0].partitions[0].error_code), (0, 0));
        assert_eq!(committed(&mut client, "alone").await, -1);
        let groups_names = vec!["g".into(), "no".into()];
        let deleted = client.ask(2, &DeleteGroupsRequest { groups_names }).await;
        let codes: Vec<_> = deleted.results.iter().map(|result| result.error_code).collect();
        let wanted = [ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound].map(|c| c.as_i16());
        assert_eq!(codes, wanted);
        broker.end().await;
    }

    /// The first offset of both partitions of `__consumer_offsets`.
    async fn log_starts(client: &mut Client) -> Vec<i64> {
        let partition = |partition_index| ListOffsetsPartition {
            partition_index,
            current_leader_epoch: -1,
            timestamp: -2,
        };
        let topic = ListOffsetsTopic {
            name: "__consumer_offsets".into(),
            partitions: vec![partition(0), partition(1)],
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let response = client.ask(7, &request).await;
        response.topics[0].partitions.iter().map(|partition| partition.offset).collect()
    }

    #[tokio::test]
    async fn a_shard_that_grew_is_summed_up_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let first = broker(dir.path()).await;
        let mut asking = client(&first).await;
        create_topic(&mut asking, "t").await;
        commit_ok(&mut asking, "early", 7).await;
        let member = joined(&mut asking, 9).await;
        asking.ask(5, &sync(5, &member, &[&member.member_id])).await;
        for offset in 0..1200 {
            for group in ["a", "b"] {
                let kept = asking.ask(9, &commit(group, offset, "x".repeat(4000))).await;
                assert_eq!(kept.topics[0].partitions[0].error_code, 0);
            }
        }
        assert!(log_starts(&mut asking).await.iter().all(|start| *start > 200));
        let size = || {
            let folders = ["__consumer_offsets-0", "__consumer_offsets-1"];
            let logs = folders.map(|name| std::fs::read_dir(dir.path().join("log").join(name)));
            let files = logs.into_iter().flatten().flatten().flatten();
            let is_log = |file: &std::fs::DirEntry| file.path().extension() == Some("log".as_ref());
            files.filter(is_log).count()
        };
        let began = Instant::now();
        while size() > 6 {
            assert!(began.elapsed() < DEADLINE, "segments below the log start are still there");
            tokio::task::yield_now().await;
        }
        first.end().await;
        let second = broker(dir.path()).await;
        let mut asking = client(&second).await;
        assert_eq!(committed(&mut asking, "early").await, 7);
        assert_eq!(committed(&mut asking, "a").await, 1199);
        assert_eq!(committed(&mut asking, "b").await, 1199);
        let synced = asking.ask(5, &sync(5, &member, &[])).await;
        assert_eq!(&*synced.assignment, format!("for {}", member.member_id).as_bytes());
        second.end().await;
    }
}
