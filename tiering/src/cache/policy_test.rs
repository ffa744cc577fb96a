//! The policy against a model that is slow and plain: the same rules over vectors, compared after
//! each of many random actions.

use std::collections::HashMap;

use proptest::prelude::*;

use super::CacheClass;
use super::ghost::Ghost;
use super::policy::{KEPT_UNUSED_MAX, Policy, Taken};
use super::standing::Standing;

const SLOTS: u32 = 12;
const AGAIN_AFTER: u32 = 30;
/// What those that are protected and kept, those that are kept, and those that pass have at most.
const STAY_MAX: usize = 11;
const KEPT_MAX: usize = 9;
const PASSING_MAX: usize = 1;

#[derive(Clone, Debug)]
enum Action {
    Take,
    /// Fills a reserved slot with a chunk that is not there, or gives it back.
    Fill(usize, Option<u64>, CacheClass),
    Get(u64, CacheClass),
    Release(usize),
    Forget(usize),
    Pass(u32),
}

fn class() -> impl Strategy<Value = CacheClass> {
    prop_oneof![
        2 => Just(CacheClass::Normal),
        2 => Just(CacheClass::Keep),
        1 => Just(CacheClass::Pass),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let chunk = 0..40_u64;
    prop_oneof![
        8 => Just(Action::Take),
        8 => (any::<usize>(), proptest::option::weighted(0.9, chunk.clone()), class())
            .prop_map(|(which, chunk, class)| Action::Fill(which, chunk, class)),
        12 => (chunk, class()).prop_map(|(chunk, class)| Action::Get(chunk, class)),
        12 => any::<usize>().prop_map(Action::Release),
        2 => any::<usize>().prop_map(Action::Forget),
        4 => (0..40_u32).prop_map(Action::Pass),
        1 => Just(Action::Pass(KEPT_UNUSED_MAX)),
    ]
}

fn hash(chunk: u64) -> u64 {
    (chunk + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Debug)]
struct Chunk {
    chunk: u64,
    standing: Standing,
    since: Option<u32>,
    forgotten: bool,
}

impl Chunk {
    /// Where a chunk waits that nobody holds.
    fn queue(&self) -> Standing {
        match (self.standing, self.since) {
            (Standing::Passing, None) => Standing::Probation,
            (standing, _) => standing,
        }
    }
}

/// What should be: the chunk in each filled slot, and the slots that nobody holds, from the next to the
/// last.
struct Model {
    chunks: HashMap<u32, Chunk>,
    empty: Vec<u32>,
    waiting: Vec<u32>,
    ghost: Ghost,
    now: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            chunks: HashMap::new(),
            empty: (0..SLOTS).collect(),
            waiting: Vec::new(),
            ghost: Ghost::new(SLOTS as usize),
            now: 0,
        }
    }

    fn queue(&self, queue: Standing) -> Vec<u32> {
        let is_in = |slot: &&u32| self.chunks[*slot].queue() == queue;
        self.waiting.iter().filter(is_in).copied().collect()
    }

    fn count(&self, standing: Standing) -> usize {
        let stands = |chunk: &&Chunk| chunk.standing == standing && !chunk.forgotten;
        self.chunks.values().filter(stands).count()
    }

    /// Whether nobody used the next chunk of a queue for so long.
    fn is_unused(&self, queue: Standing, seconds: u32) -> bool {
        let next = self.queue(queue).first().and_then(|slot| self.chunks[slot].since);
        next.is_some_and(|since| self.now - since >= seconds)
    }

    fn take(&mut self) -> Option<Taken> {
        if !self.empty.is_empty() {
            return Some(Taken { slot: self.empty.remove(0), evicted: false });
        }
        let mut order =
            vec![Standing::Probation, Standing::Passing, Standing::Protected, Standing::Kept];
        let stay = self.count(Standing::Protected) + self.count(Standing::Kept);
        if self.queue(Standing::Passing).len() > PASSING_MAX
            || self.is_unused(Standing::Passing, AGAIN_AFTER)
        {
            order.insert(0, Standing::Passing);
        } else if self.is_unused(Standing::Kept, KEPT_UNUSED_MAX) {
            order.insert(0, Standing::Kept);
        } else if stay > STAY_MAX {
            order.insert(0, Standing::Protected);
        }
        let slot = order.into_iter().find_map(|queue| self.queue(queue).first().copied())?;
        self.waiting.retain(|waiting| *waiting != slot);
        let Chunk { chunk, standing, since, .. } = self.chunks.remove(&slot).unwrap();
        if let Some(since) = since.filter(|_| standing != Standing::Passing) {
            self.ghost.remember(hash(chunk), since);
        }
        Some(Taken { slot, evicted: true })
    }

    /// Whether a chunk that is to be kept is: another one may have to go on probation for it.
    fn keeps(&mut self) -> bool {
        if self.count(Standing::Kept) < KEPT_MAX {
            return true;
        }
        let Some(oldest) = self.queue(Standing::Kept).first().copied() else { return false };
        let oldest_chunk = self.chunks.get_mut(&oldest).unwrap();
        (oldest_chunk.standing, oldest_chunk.since) = (Standing::Probation, None);
        self.waiting.retain(|waiting| *waiting != oldest);
        self.waiting.push(oldest);
        true
    }

    fn is_return(&self, first: Option<u32>) -> bool {
        first.is_some_and(|first| self.now - first >= AGAIN_AFTER)
    }

    fn admit(&mut self, slot: u32, chunk: u64, class: CacheClass) -> Standing {
        let known = self.ghost.recall(hash(chunk));
        let (standing, since) = match class {
            CacheClass::Keep if self.keeps() => (Standing::Kept, Some(self.now)),
            CacheClass::Pass => (Standing::Passing, None),
            CacheClass::Normal if self.is_return(known) => (Standing::Protected, known),
            CacheClass::Keep | CacheClass::Normal => (Standing::Probation, known),
        };
        self.chunks.insert(slot, Chunk { chunk, standing, since, forgotten: false });
        standing
    }

    fn find(&self, wanted: u64) -> Option<u32> {
        let is_it = |chunk: &Chunk| chunk.chunk == wanted && !chunk.forgotten;
        self.chunks.iter().find_map(|(slot, chunk)| is_it(chunk).then_some(*slot))
    }

    /// A use of a slot that waits no more.
    fn touch(&mut self, slot: u32, class: CacheClass) -> bool {
        let Chunk { standing: before, since, .. } = self.chunks[&slot];
        let (first, last) = (since.or(Some(self.now)), Some(self.now));
        let (standing, since) = match class {
            CacheClass::Keep if before == Standing::Kept || self.keeps() => (Standing::Kept, last),
            CacheClass::Keep => (Standing::Probation, first),
            CacheClass::Pass => (Standing::Passing, last),
            CacheClass::Normal if before == Standing::Protected || self.is_return(since) => {
                (Standing::Protected, first)
            }
            CacheClass::Normal => (Standing::Probation, first),
        };
        let chunk = self.chunks.get_mut(&slot).unwrap();
        (chunk.standing, chunk.since) = (standing, since);
        standing != before
    }

    fn released(&mut self, slot: u32) {
        if self.chunks[&slot].forgotten {
            self.chunks.remove(&slot);
            self.empty.push(slot);
        } else {
            self.waiting.push(slot);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_policy_does_what_the_model_does(actions in prop::collection::vec(action(), 1..300)) {
        let (mut policy, mut model) = (Policy::new(SLOTS, AGAIN_AFTER), Model::new());
        let (mut reserved, mut held) = (Vec::new(), Vec::<u32>::new());
        for action in actions {
            match action {
                Action::Take => {
                    let chunks: HashMap<u32, u64> =
                        model.chunks.iter().map(|(slot, chunk)| (*slot, chunk.chunk)).collect();
                    let taken = policy.take(model.now, |slot| hash(chunks[&slot]));
                    prop_assert_eq!(taken, model.take());
                    if let Some(taken) = taken {
                        prop_assert!(!held.contains(&taken.slot) && !reserved.contains(&taken.slot));
                        reserved.push(taken.slot);
                    }
                }
                Action::Fill(which, chunk, class) if !reserved.is_empty() => {
                    let slot = reserved.swap_remove(which % reserved.len());
                    match chunk.filter(|chunk| model.find(*chunk).is_none()) {
                        Some(chunk) => {
                            let standing = policy.admit(slot, hash(chunk), class, model.now);
                            prop_assert_eq!(standing, model.admit(slot, chunk, class));
                            policy.fill(slot);
                            held.push(slot);
                        }
                        None => {
                            policy.give_back(slot);
                            model.empty.push(slot);
                        }
                    }
                }
                Action::Get(chunk, class) => if let Some(slot) = model.find(chunk) {
                    policy.hold(slot);
                    model.waiting.retain(|waiting| *waiting != slot);
                    prop_assert_eq!(
                        policy.touch(slot, class, model.now),
                        model.touch(slot, class)
                    );
                    held.push(slot);
                },
                Action::Release(which) if !held.is_empty() => {
                    let slot = held.swap_remove(which % held.len());
                    let last = !held.contains(&slot);
                    prop_assert_eq!(policy.release(slot), last);
                    if last {
                        model.released(slot);
                    }
                }
                Action::Forget(which) if !held.is_empty() => {
                    let slot = held[which % held.len()];
                    policy.forget(slot);
                    model.chunks.get_mut(&slot).unwrap().forgotten = true;
                }
                Action::Pass(seconds) => model.now += seconds,
                Action::Fill(..) | Action::Release(_) | Action::Forget(_) => {}
            }
            for (slot, chunk) in &model.chunks {
                let stands = (!chunk.forgotten).then_some(chunk.standing);
                prop_assert_eq!(policy.standing(*slot), stands);
            }
            prop_assert!(policy.standings().kept as usize <= KEPT_MAX);
        }
    }
}

#[test]
fn what_an_earlier_run_left_keeps_its_standing_and_gives_way_by_it() {
    let mut policy = Policy::new(6, AGAIN_AFTER);
    policy.restore(1, Standing::Protected);
    policy.restore(3, Standing::Probation);
    policy.restore(4, Standing::Kept);
    policy.restore(5, Standing::Passing);
    let taken: Vec<_> = (0..6).map(|_| policy.take(0, |_| 0).unwrap().slot).collect();
    assert_eq!(taken, [0, 2, 3, 5, 1, 4]);
    assert_eq!(policy.take(0, |_| 0), None);
}
