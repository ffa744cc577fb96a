//! Shards driven by tables of events, with a clock that the test moves.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::ask::{
    CommitAsk, CommitPartition, CommitTopic, JoinAsk, JoinRefused, Joined, LeaveAsk, MemberRef,
    SyncAsk, Synced,
};
use super::room::Room;
use super::shard::Shard;
use super::step::{KeptRecord, Now, Rules, Step};
use crate::model::TopicId;
use crate::wire::ErrorCode;

mod bounds;

const GROUP: &str = "g";
const DAY_MS: i64 = 86_400_000;

type JoinAnswer = oneshot::Receiver<Result<Joined, JoinRefused>>;
type SyncAnswer = oneshot::Receiver<Result<Synced, ErrorCode>>;

/// A shard, its clock, and every record it made.
struct Bench {
    shard: Shard,
    now_ms: i64,
    rules: Arc<Rules>,
    log: Vec<KeptRecord>,
    ids: u32,
}

impl Bench {
    fn new() -> Self {
        let rules = Arc::new(Rules {
            initial_delay_ms: 3000,
            session_timeout_min_ms: 6000,
            session_timeout_max_ms: 1_800_000,
            members_max: 3,
            groups_max: 2,
            offset_metadata_bytes_max: 8,
            offsets_retention_ms: 7 * DAY_MS,
        });
        let shard = Shard::new(Room::new(rules.groups_max));
        Self { shard, now_ms: 0, rules, log: Vec::new(), ids: 0 }
    }

    fn step<T>(&mut self, act: impl FnOnce(&mut Shard, &mut Step) -> T) -> T {
        let now = Now { tick_ms: self.now_ms, wall_ms: self.now_ms };
        let mut step = Step::new(now, self.rules.clone());
        let value = act(&mut self.shard, &mut step);
        self.log.append(&mut step.records);
        step.answers.into_iter().for_each(|answer| answer());
        value
    }

    /// Lets time go by, stopping at every deadline.
    fn pass(&mut self, ms: i64) {
        let until = self.now_ms + ms;
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.now_ms = self.now_ms.max(at);
            self.step(|shard, step| shard.on_time(step));
        }
        self.now_ms = until;
    }

    fn ask(&mut self, member_id: &str) -> JoinAsk {
        self.ids += 1;
        JoinAsk {
            member_id: member_id.to_owned(),
            fresh_id: format!("m{}", self.ids),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"meta"))],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            known_member_only: false,
            can_skip_assignment: true,
        }
    }

    fn join(&mut self, ask: JoinAsk) -> JoinAnswer {
        let (reply, answer) = oneshot::channel();
        self.step(|shard, step| shard.join(step, GROUP, ask, reply));
        answer
    }

    fn sync(&mut self, joined: &Joined, assignments: &[(&str, &'static [u8])]) -> SyncAnswer {
        let (reply, answer) = oneshot::channel();
        let given =
            |(id, bytes): &(&str, &'static [u8])| (String::from(*id), Bytes::from_static(bytes));
        let ask = SyncAsk {
            member: named(&joined.member_id),
            generation: joined.generation,
            protocol_type: joined.protocol_type.clone(),
            protocol: joined.protocol.clone(),
            assignments: assignments.iter().map(given).collect(),
        };
        self.step(|shard, step| shard.sync(step, GROUP, ask, reply));
        answer
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), ErrorCode> {
        self.step(|shard, step| shard.heartbeat(step, GROUP, &named(id), generation))
    }

    fn leave(&mut self, member: MemberRef) -> Vec<ErrorCode> {
        self.step(|shard, step| shard.leave(step, GROUP, &LeaveAsk { members: vec![member] }))
    }

    fn commit(&mut self, id: &str, generation: i32, offset: i64) -> Result<ErrorCode, ErrorCode> {
        let partitions = vec![CommitPartition {
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: if offset == 99 { "far too long".into() } else { String::new() },
        }];
        let topics = vec![CommitTopic { name: "t".into(), topic_id: TopicId::ZERO, partitions }];
        let ask = CommitAsk {
            member: named(id),
            generation,
            no_group: ErrorCode::IllegalGeneration,
            retention_ms: None,
            topics,
        };
        self.step(|shard, step| shard.commit(step, GROUP, ask)).map(|codes| codes[0][0])
    }

    fn committed(&self) -> Option<i64> {
        self.shard.committed(GROUP, "t", 0).map(|committed| committed.offset)
    }

    fn state(&self) -> &'static str {
        self.shard.described(GROUP).map_or("Dead", |group| group.state)
    }

    /// A group of `count` members that is stable; the first one leads.
    fn stable(&mut self, count: usize) -> Vec<Joined> {
        let asks: Vec<_> = (0..count).map(|_| self.ask("")).collect();
        let waiting: Vec<_> = asks.into_iter().map(|ask| self.join(ask)).collect();
        self.pass(6000);
        let joined: Vec<_> = waiting.into_iter().map(|answer| got(answer).unwrap()).collect();
        let others: Vec<_> = joined[1..].iter().map(|joined| self.sync(joined, &[])).collect();
        let first = self.sync(&joined[0], &[(&joined[0].member_id, b"all")]);
        assert_eq!(got(first).unwrap().assignment, "all");
        others.into_iter().for_each(|answer| assert_eq!(got(answer).unwrap().assignment, ""));
        assert_eq!(self.state(), "Stable");
        joined
    }

    /// What is left of the shard when it is read back from its records.
    fn replayed(&self) -> Shard {
        let mut shard = Shard::new(Room::new(self.rules.groups_max));
        for record in &self.log {
            let now = Now { tick_ms: self.now_ms, wall_ms: self.now_ms };
            shard.replay(now, &record.key, record.value.clone()).unwrap();
        }
        shard
    }
}

fn named(id: &str) -> MemberRef {
    MemberRef { member_id: id.to_owned(), instance_id: None }
}

fn got<T>(mut answer: oneshot::Receiver<T>) -> T {
    answer.try_recv().expect("an answer")
}

fn waits<T>(answer: &mut oneshot::Receiver<T>) -> bool {
    matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

fn sorted(shard: &Shard) -> Vec<KeptRecord> {
    let mut records: Vec<_> = shard.summary().collect();
    records.sort();
    records
}

#[test]
fn a_new_group_waits_for_others_and_longer_while_more_come() {
    let mut bench = Bench::new();
    let ask = bench.ask("");
    let mut first = bench.join(ask);
    bench.pass(2000);
    let ask = bench.ask("");
    let mut second = bench.join(ask);
    bench.pass(1500);
    assert!(waits(&mut first) && waits(&mut second), "someone came: another round");
    bench.pass(2500);
    let (first, second) = (got(first).unwrap(), got(second).unwrap());
    assert_eq!((first.generation, &*first.leader), (1, &*first.member_id));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    assert_eq!(second.protocol.as_deref(), Some("range"));
}

#[test]
fn a_member_without_an_id_comes_back_with_the_one_it_got() {
    let mut bench = Bench::new();
    let ask = JoinAsk { known_member_only: true, ..bench.ask("") };
    let answer = bench.join(ask);
    let refused = got(answer).unwrap_err();
    assert_eq!(refused.code, ErrorCode::MemberIdRequired);
    let ask = bench.ask(&refused.member_id);
    let answer = bench.join(ask);
    bench.pass(3000);
    assert_eq!(got(answer).unwrap().member_id, refused.member_id);
}

#[test]
fn an_announced_member_that_never_comes_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let ask = JoinAsk { known_member_only: true, ..bench.ask("") };
    drop(bench.join(ask));
    assert_eq!(bench.state(), "Empty");
    bench.pass(10_000);
    assert_eq!((bench.state(), bench.log.len()), ("Dead", 0));
}

#[test]
fn wrong_members_generations_and_protocols_are_refused() {
    let mut bench = Bench::new();
    let id = bench.stable(1)[0].member_id.clone();
    assert_eq!(bench.heartbeat("nobody", 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.heartbeat(&id, 7), Err(ErrorCode::IllegalGeneration));
    assert_eq!(bench.heartbeat(&id, 1), Ok(()));
    let other = vec![("sticky".to_owned(), Bytes::new())];
    let ask = JoinAsk { protocols: other, ..bench.ask("") };
    let answer = bench.join(ask);
    assert_eq!(got(answer).unwrap_err().code, ErrorCode::InconsistentGroupProtocol);
    let ask = bench.ask("nobody");
    let answer = bench.join(ask);
    assert_eq!(got(answer).unwrap_err().code, ErrorCode::UnknownMemberId);
}

#[test]
fn a_full_group_takes_no_more() {
    let mut bench = Bench::new();
    bench.stable(3);
    let ask = bench.ask("");
    let answer = bench.join(ask);
    assert_eq!(got(answer).unwrap_err().code, ErrorCode::GroupMaxSizeReached);
}

#[test]
fn a_newcomer_starts_a_rebalance_and_those_who_stay_away_are_out() {
    let mut bench = Bench::new();
    let old = bench.stable(2);
    let ask = bench.ask("");
    let mut newcomer = bench.join(ask);
    let rejoin = bench.ask(&old[0].member_id);
    assert_eq!(bench.heartbeat(&old[0].member_id, 1), Err(ErrorCode::RebalanceInProgress));
    let leader = bench.join(rejoin);
    assert!(waits(&mut newcomer), "one is still missing");
    for _ in 0..6 {
        bench.pass(5000);
        let _rejoin = bench.heartbeat(&old[1].member_id, 1);
    }
    assert_eq!(got(leader).unwrap().members.len(), 2);
    assert_eq!(got(newcomer).unwrap().generation, 2);
    assert_eq!(bench.heartbeat(&old[1].member_id, 2), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_silent_member_is_out_after_its_session_and_the_group_ends_empty() {
    let mut bench = Bench::new();
    let id = bench.stable(1)[0].member_id.clone();
    bench.pass(9000);
    assert_eq!(bench.heartbeat(&id, 1), Ok(()));
    bench.pass(9000);
    assert_eq!(bench.state(), "Stable");
    bench.pass(1000);
    assert_eq!(bench.state(), "Empty");
    assert_eq!(bench.heartbeat(&id, 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_member_that_does_not_sync_is_out() {
    let mut bench = Bench::new();
    let asks = [bench.ask(""), bench.ask("")];
    let answers = asks.map(|ask| bench.join(ask));
    bench.pass(6000);
    let [first, second] = answers.map(|answer| got(answer).unwrap());
    let synced = bench.sync(&first, &[]);
    got(synced).unwrap();
    for _ in 0..7 {
        bench.pass(5000);
        let _may_be_told_to_join = bench.heartbeat(&first.member_id, 1);
        let _may_be_out = bench.heartbeat(&second.member_id, 1);
    }
    assert_eq!(bench.heartbeat(&second.member_id, 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_takes_its_old_place_and_fences_the_old_one() {
    let mut bench = Bench::new();
    let instance = Some("i".to_owned());
    let ask = JoinAsk { instance_id: instance.clone(), ..bench.ask("") };
    let answer = bench.join(ask);
    bench.pass(3000);
    let old = got(answer).unwrap();
    got(bench.sync(&old, &[(&old.member_id, b"mine")])).unwrap();
    let ask = JoinAsk { instance_id: instance.clone(), ..bench.ask("") };
    let answer = bench.join(ask);
    let new = got(answer).unwrap();
    assert_ne!(new.member_id, old.member_id);
    assert_eq!((new.generation, new.skip_assignment, &new.leader), (1, true, &new.member_id));
    assert_eq!(got(bench.sync(&new, &[])).unwrap().assignment, "mine");
    let fenced = MemberRef { member_id: old.member_id, instance_id: instance.clone() };
    assert_eq!(bench.leave(fenced), [ErrorCode::FencedInstanceId]);
    let by_name = MemberRef { member_id: String::new(), instance_id: instance };
    assert_eq!(bench.leave(by_name), [ErrorCode::None]);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn commits_are_checked_against_the_generation() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit("m", 1, 5), Err(ErrorCode::IllegalGeneration), "no group");
    assert_eq!(bench.commit("", -1, 5), Ok(ErrorCode::None), "one that assigns by itself");
    assert_eq!(bench.commit("", -1, 99), Ok(ErrorCode::OffsetMetadataTooLarge));
    let id = bench.stable(1)[0].member_id.clone();
    assert_eq!(bench.commit("", -1, 6), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.commit(&id, 9, 6), Err(ErrorCode::IllegalGeneration));
    assert_eq!(bench.committed(), Some(5));
    assert_eq!(bench.commit(&id, 1, 6), Ok(ErrorCode::None));
    assert_eq!(bench.committed(), Some(6));
}

#[test]
fn offsets_of_an_empty_group_expire_and_the_group_with_them() {
    let mut bench = Bench::new();
    let id = bench.stable(1)[0].member_id.clone();
    assert_eq!(bench.commit(&id, 1, 6), Ok(ErrorCode::None));
    assert_eq!(bench.leave(named(&id)), [ErrorCode::None]);
    bench.pass(7 * DAY_MS - 1);
    bench.step(|shard, step| shard.expire(step));
    assert_eq!(bench.committed(), Some(6));
    bench.pass(1);
    bench.step(|shard, step| shard.expire(step));
    assert_eq!((bench.committed(), bench.state()), (None, "Dead"));
    assert_eq!(sorted(&bench.replayed()), []);
}

#[test]
fn a_group_is_deleted_when_nobody_is_in_it() {
    let mut bench = Bench::new();
    let delete = |bench: &mut Bench| bench.step(|shard, step| shard.delete(step, GROUP));
    assert_eq!(delete(&mut bench), Err(ErrorCode::GroupIdNotFound));
    let id = bench.stable(1)[0].member_id.clone();
    assert_eq!(delete(&mut bench), Err(ErrorCode::NonEmptyGroup));
    bench.leave(named(&id));
    assert_eq!(delete(&mut bench), Ok(()));
    assert_eq!(bench.state(), "Dead");
    assert_eq!(sorted(&bench.replayed()), []);
}

#[test]
fn offsets_of_a_deleted_topic_are_taken_back() {
    let mut bench = Bench::new();
    bench.commit("", -1, 5).unwrap();
    bench.step(|shard, step| shard.forget_topics(step, |name, _| name == "t"));
    assert_eq!(bench.committed(), None);
    assert_eq!(sorted(&bench.replayed()), []);
}

#[test]
fn a_replay_of_the_records_gives_the_same_groups_whatever_happened() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut next = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut bench = Bench::new();
    let (mut joining, mut ids): (Vec<JoinAnswer>, Vec<Joined>) = (Vec::new(), Vec::new());
    for round in 0..5000 {
        match next(8) {
            0 => {
                let ask = bench.ask("");
                joining.push(bench.join(ask));
            }
            1 => {
                let instance_id = Some(format!("i{}", next(2)));
                let ask = JoinAsk { instance_id, ..bench.ask("") };
                joining.push(bench.join(ask));
            }
            2 => bench.pass(i64::try_from(next(4000)).unwrap()),
            3 | 4 => {
                for joined in &ids {
                    drop(bench.sync(joined, &[(&joined.member_id, b"some")]));
                }
            }
            5 => {
                let id = ids.get(next(4) as usize).cloned().unwrap_or_default();
                let _may_be_refused = bench.commit(&id.member_id, id.generation, 1 + round % 98);
            }
            6 => {
                let id = ids.get(next(4) as usize).cloned().unwrap_or_default();
                bench.leave(named(&id.member_id));
            }
            _ => bench.step(|shard, step| {
                shard.delete(step, GROUP).ok();
            }),
        }
        joining.retain_mut(|answer| match answer.try_recv() {
            Ok(joined) => {
                ids.extend(joined);
                false
            }
            Err(error) => error == oneshot::error::TryRecvError::Empty,
        });
        ids.drain(..ids.len().saturating_sub(4));
        let replayed = bench.replayed();
        assert_eq!(sorted(&bench.shard), sorted(&replayed), "round {round}");
        if matches!(bench.state(), "Stable" | "Empty") {
            let (live, again) = (bench.shard.described(GROUP), replayed.described(GROUP));
            assert_eq!(again.unwrap_or(live.clone().unwrap()), live.unwrap(), "round {round}");
        }
        if bench.log.len() > 200 {
            bench.log = sorted(&bench.shard);
        }
    }
}
