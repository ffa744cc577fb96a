//! What clients can make the groups hold is bounded, and what nobody uses goes.

use super::*;

/// Commits an offset to a group that nobody is in.
fn commit_to(bench: &mut Bench, group: &str) -> Result<ErrorCode, ErrorCode> {
    let partitions =
        vec![CommitPartition { partition: 0, offset: 5, leader_epoch: -1, metadata: "".into() }];
    let ask = CommitAsk {
        member: named(""),
        generation: -1,
        no_group: ErrorCode::IllegalGeneration,
        retention_ms: None,
        topics: vec![CommitTopic { name: "t".into(), topic_id: TopicId::ZERO, partitions }],
    };
    bench.step(|shard, step| shard.commit(step, group, ask)).map(|codes| codes[0][0])
}

#[test]
fn a_group_that_finds_no_place_is_refused_until_another_one_goes() {
    let mut bench = Bench::new();
    assert_eq!(commit_to(&mut bench, "a"), Ok(ErrorCode::None));
    assert_eq!(commit_to(&mut bench, "b"), Ok(ErrorCode::None));
    assert_eq!(commit_to(&mut bench, "c"), Err(ErrorCode::GroupMaxSizeReached));
    let ask = bench.ask("");
    let answer = bench.join(ask);
    assert_eq!(got(answer).unwrap_err().code, ErrorCode::GroupMaxSizeReached);
    assert_eq!(bench.state(), "Dead", "a refused group leaves nothing behind");
    assert_eq!(commit_to(&mut bench, "a"), Ok(ErrorCode::None), "one that is there goes on");
    assert_eq!(bench.step(|shard, step| shard.delete(step, "b")), Ok(()));
    assert_eq!(commit_to(&mut bench, "c"), Ok(ErrorCode::None));
}

#[test]
fn a_group_that_was_never_joined_takes_no_place() {
    let mut bench = Bench::new();
    for group in ["a", "b", "c", "d"] {
        let mut ask = bench.ask("");
        ask.protocols.clear();
        let (reply, answer) = oneshot::channel();
        bench.step(|shard, step| shard.join(step, group, ask, reply));
        assert_eq!(got(answer).unwrap_err().code, ErrorCode::InconsistentGroupProtocol, "{group}");
    }
}

#[test]
fn groups_that_the_log_has_come_back_above_the_bound() {
    let mut bench = Bench::new();
    assert_eq!(commit_to(&mut bench, "a"), Ok(ErrorCode::None));
    assert_eq!(commit_to(&mut bench, "b"), Ok(ErrorCode::None));
    bench.shard = Shard::new(Room::new(1));
    for record in std::mem::take(&mut bench.log) {
        let now = Now { tick_ms: 0, wall_ms: 0 };
        bench.shard.replay(now, &record.key, record.value).unwrap();
    }
    assert_eq!(bench.shard.listed().len(), 2);
    assert_eq!(commit_to(&mut bench, "a"), Ok(ErrorCode::None));
    assert_eq!(commit_to(&mut bench, "c"), Err(ErrorCode::GroupMaxSizeReached));
}

#[test]
fn ids_that_are_given_out_and_never_come_back_are_bounded() {
    let mut bench = Bench::new();
    for _ in 0..10_000 {
        let ask = JoinAsk { known_member_only: true, ..bench.ask("") };
        assert_eq!(got(bench.join(ask)).unwrap_err().code, ErrorCode::MemberIdRequired);
    }
    let ask = JoinAsk { known_member_only: true, ..bench.ask("") };
    assert_eq!(got(bench.join(ask)).unwrap_err().code, ErrorCode::GroupMaxSizeReached);
    bench.pass(10_000);
    let ask = JoinAsk { known_member_only: true, ..bench.ask("") };
    assert_eq!(got(bench.join(ask)).unwrap_err().code, ErrorCode::MemberIdRequired);
}

#[test]
fn offsets_expire_as_if_there_had_been_no_restart() {
    for alone in [true, false] {
        let mut bench = Bench::new();
        if alone {
            assert_eq!(bench.commit("", -1, 6), Ok(ErrorCode::None));
        } else {
            let id = bench.stable(1)[0].member_id.clone();
            assert_eq!(bench.commit(&id, 1, 6), Ok(ErrorCode::None));
            bench.pass(1000);
            assert_eq!(bench.leave(named(&id)), [ErrorCode::None]);
        }
        bench.now_ms += 7 * DAY_MS - 1;
        bench.shard = bench.replayed();
        bench.step(|shard, step| shard.expire(step));
        assert_eq!(bench.committed(), Some(6), "alone: {alone}");
        bench.shard = bench.replayed();
        bench.now_ms += 1;
        bench.step(|shard, step| shard.expire(step));
        assert_eq!((bench.committed(), bench.state()), (None, "Dead"), "alone: {alone}");
    }
}
