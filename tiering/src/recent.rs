//! A bounded map that drops what was used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use parking_lot::Mutex;

/// Values by key, together no heavier than a bound (but for one that alone is heavier).
pub(crate) struct Recent<K, V> {
    weight_max: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    by_key: HashMap<K, (V, usize, u64)>,
    by_use: BTreeMap<u64, K>,
    weight: usize,
    uses: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let entries =
            Entries { by_key: HashMap::new(), by_use: BTreeMap::new(), weight: 0, uses: 0 };
        Self { weight_max, entries: Mutex::new(entries) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.entries.lock();
        let Entries { by_key, by_use, uses, .. } = &mut *entries;
        let (value, _, used) = by_key.get_mut(key)?;
        let key = by_use.remove(used)?;
        *uses += 1;
        *used = *uses;
        by_use.insert(*uses, key);
        Some(value.clone())
    }

    /// Whether it is there. It counts as no use.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.entries.lock().by_key.contains_key(key)
    }

    pub(crate) fn put(&self, key: K, value: V, weight: usize) {
        let mut entries = self.entries.lock();
        entries.remove(&key);
        entries.uses += 1;
        let used = entries.uses;
        entries.by_use.insert(used, key.clone());
        entries.by_key.insert(key, (value, weight, used));
        entries.weight += weight;
        while entries.weight > self.weight_max && entries.by_key.len() > 1 {
            let Some((_, oldest)) = entries.by_use.pop_first() else { break };
            if let Some((_, weight, _)) = entries.by_key.remove(&oldest) {
                entries.weight -= weight;
            }
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        self.entries.lock().remove(key);
    }

    /// Drops what was used longest ago until no more than `weight` is left.
    pub(crate) fn shrink_to(&self, weight: usize) {
        let mut entries = self.entries.lock();
        while entries.weight > weight {
            let Some((_, oldest)) = entries.by_use.pop_first() else { break };
            if let Some((_, weight, _)) = entries.by_key.remove(&oldest) {
                entries.weight -= weight;
            }
        }
    }
}

impl<K: Eq + Hash, V> Entries<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some((_, weight, used)) = self.by_key.remove(key) {
            self.by_use.remove(&used);
            self.weight -= weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_weight_stays_bounded() {
        let recent = Recent::new(10);
        for key in 0..5 {
            recent.put(key, key * 10, 2);
        }
        assert_eq!(recent.get(&0), Some(0));
        recent.put(5, 50, 3);
        assert_eq!((recent.get(&1), recent.get(&2)), (None, None), "two of weight 2 make room");
        assert_eq!((recent.get(&0), recent.get(&5)), (Some(0), Some(50)));
        recent.put(6, 60, 100);
        assert_eq!((recent.get(&6), recent.get(&0)), (Some(60), None), "a giant stays alone");
        recent.remove(&6);
        recent.put(7, 70, 6);
        recent.put(8, 80, 4);
        recent.shrink_to(9);
        assert_eq!((recent.get(&7), recent.get(&8)), (None, Some(80)));
    }
}
