//! The policy against a model that is slow and plain: the same rules over vectors, compared after
//! each of many random actions.

use std::collections::HashMap;

use proptest::prelude::*;

use super::ghost::Ghost;
use super::policy::{Class, Policy, Taken};

const SLOTS: u32 = 12;
const AGAIN_AFTER: u32 = 30;

#[derive(Clone, Debug)]
enum Action {
    Take,
    /// Fills a reserved slot with a chunk that is not there, or gives it back.
    Fill(usize, Option<u64>),
    Get(u64),
    Release(usize),
    Forget(usize),
    Pass(u32),
}

fn action() -> impl Strategy<Value = Action> {
    let chunk = 0..40_u64;
    prop_oneof![
        4 => Just(Action::Take),
        4 => (any::<usize>(), proptest::option::weighted(0.9, chunk.clone()))
            .prop_map(|(which, chunk)| Action::Fill(which, chunk)),
        6 => chunk.prop_map(Action::Get),
        6 => any::<usize>().prop_map(Action::Release),
        1 => any::<usize>().prop_map(Action::Forget),
        2 => (0..40_u32).prop_map(Action::Pass),
    ]
}

fn hash(chunk: u64) -> u64 {
    (chunk + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    protected: bool,
    first_use: Option<u32>,
    forgotten: bool,
}

/// What should be: the chunk in each filled slot, and the free slots from the next to the last.
struct Model {
    chunks: HashMap<u32, (u64, Chunk)>,
    empty: Vec<u32>,
    probation: Vec<u32>,
    protected: Vec<u32>,
    ghost: Ghost,
    now: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            chunks: HashMap::new(),
            empty: (0..SLOTS).collect(),
            probation: Vec::new(),
            protected: Vec::new(),
            ghost: Ghost::new(SLOTS as usize),
            now: 0,
        }
    }

    fn take(&mut self) -> Option<Taken> {
        if !self.empty.is_empty() {
            return Some(Taken { slot: self.empty.remove(0), evicted: false });
        }
        let wanted = |chunk: &&(u64, Chunk)| chunk.1.protected && !chunk.1.forgotten;
        let many = self.chunks.values().filter(wanted).count() > SLOTS as usize - 1;
        let queue = match many || self.probation.is_empty() {
            true if !self.protected.is_empty() => &mut self.protected,
            _ => &mut self.probation,
        };
        let slot = (!queue.is_empty()).then(|| queue.remove(0))?;
        let (chunk, state) = self.chunks.remove(&slot).unwrap();
        if let Some(first_use) = state.first_use {
            self.ghost.remember(hash(chunk), first_use);
        }
        Some(Taken { slot, evicted: true })
    }

    fn admit(&mut self, slot: u32, chunk: u64) -> Class {
        let first_use = self.ghost.recall(hash(chunk));
        let protected = first_use.is_some_and(|first| self.now - first >= AGAIN_AFTER);
        self.chunks.insert(slot, (chunk, Chunk { protected, first_use, forgotten: false }));
        if protected { Class::Protected } else { Class::Probation }
    }

    fn find(&self, wanted: u64) -> Option<u32> {
        let found = |(slot, (chunk, state)): (&u32, &(u64, Chunk))| {
            (*chunk == wanted && !state.forgotten).then_some(*slot)
        };
        self.chunks.iter().find_map(found)
    }

    fn touch(&mut self, slot: u32) -> bool {
        let chunk = &mut self.chunks.get_mut(&slot).unwrap().1;
        let first_use = *chunk.first_use.get_or_insert(self.now);
        let promoted = !chunk.protected && self.now - first_use >= AGAIN_AFTER;
        chunk.protected |= promoted;
        promoted
    }

    fn released(&mut self, slot: u32) {
        let (_, chunk) = &self.chunks[&slot];
        match (chunk.forgotten, chunk.protected) {
            (true, _) => {
                self.chunks.remove(&slot);
                self.empty.push(slot);
            }
            (false, true) => self.protected.push(slot),
            (false, false) => self.probation.push(slot),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_policy_does_what_the_model_does(actions in prop::collection::vec(action(), 1..300)) {
        let (mut policy, mut model) = (Policy::new(SLOTS, AGAIN_AFTER), Model::new());
        let (mut reserved, mut held) = (Vec::new(), Vec::<u32>::new());
        for action in actions {
            match action {
                Action::Take => {
                    let chunks: HashMap<u32, u64> =
                        model.chunks.iter().map(|(slot, (chunk, _))| (*slot, *chunk)).collect();
                    let taken = policy.take(|slot| hash(chunks[&slot]));
                    prop_assert_eq!(taken, model.take());
                    if let Some(taken) = taken {
                        prop_assert!(!held.contains(&taken.slot) && !reserved.contains(&taken.slot));
                        reserved.push(taken.slot);
                    }
                }
                Action::Fill(which, chunk) if !reserved.is_empty() => {
                    let slot = reserved.swap_remove(which % reserved.len());
                    match chunk.filter(|chunk| model.find(*chunk).is_none()) {
                        Some(chunk) => {
                            let class = policy.admit(slot, hash(chunk), model.now);
                            prop_assert_eq!(class, model.admit(slot, chunk));
                            policy.fill(slot);
                            held.push(slot);
                        }
                        None => {
                            policy.give_back(slot);
                            model.empty.push(slot);
                        }
                    }
                }
                Action::Get(chunk) => if let Some(slot) = model.find(chunk) {
                    policy.hold(slot);
                    prop_assert_eq!(policy.touch(slot, model.now), model.touch(slot));
                    model.probation.retain(|other| *other != slot);
                    model.protected.retain(|other| *other != slot);
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
                    model.chunks.get_mut(&slot).unwrap().1.forgotten = true;
                }
                Action::Pass(seconds) => model.now += seconds,
                Action::Fill(..) | Action::Release(_) | Action::Forget(_) => {}
            }
            for (slot, (_, chunk)) in &model.chunks {
                let class = if chunk.protected { Class::Protected } else { Class::Probation };
                prop_assert_eq!(policy.class(*slot), (!chunk.forgotten).then_some(class));
            }
        }
    }
}

#[test]
fn what_an_earlier_run_left_keeps_its_class_and_gives_way_by_it() {
    let mut policy = Policy::new(4, AGAIN_AFTER);
    policy.restore(1, Class::Protected);
    policy.restore(3, Class::Probation);
    let taken: Vec<_> = (0..4).map(|_| policy.take(|_| 0).unwrap().slot).collect();
    assert_eq!(taken, [0, 2, 3, 1]);
    assert_eq!(policy.take(|_| 0), None);
}
