//! Whose turn it is among readers that wait for a rate: that of the one who had none for longest.
//!
//! A reader waits as long as its client does, turns away, and comes again. If they were served as they
//! come, whose turn it is would go by the moment at which a wait happened to begin: a reader whose waits
//! are in step with the rate is then first each time, and others have no turn for minutes. So a reader
//! has a number, which it keeps while it is away, and gets a new one with each turn.
//!
//! Invariants: the first in the line is of the lowest number among those who wait; whoever becomes the
//! first is told, and so is who is the first no more; a reader that is not known waits behind all that
//! are; those that are remembered are bounded by those that wait, and by [`READERS_MAX`].

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// Who reads: the number of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReaderId(pub u64);

/// With more readers than this, and than twice those that wait, those that are away are forgotten: there
/// is a line for each topic with a rate.
const READERS_MAX: usize = 32;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers and places that were given out.
    given: u64,
    readers: HashMap<ReaderId, Reader>,
    /// Readers with a place, by their numbers.
    waiting: BTreeMap<u64, ReaderId>,
    /// With so many readers those that are away are forgotten.
    clear_at: usize,
}

#[derive(Debug)]
struct Reader {
    number: u64,
    /// In the order in which they came.
    places: VecDeque<Told>,
}

/// A place, by its number, and how to tell who waits there.
#[derive(Clone, Debug)]
struct Told(u64, Arc<Notify>);

/// A place in the line, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    line: &'a Line,
    reader: ReaderId,
    told: Told,
}

impl Line {
    /// Takes a place. One reader may have several.
    pub(super) fn enter(&self, reader: ReaderId) -> Place<'_> {
        let mut state = self.state.lock();
        let first = state.first();
        state.make_room(reader);
        let told = Told(state.next(), Arc::default());
        let number = state.readers.get(&reader).map(|known| known.number);
        let number = number.unwrap_or_else(|| state.next());
        let known = state.readers.entry(reader);
        let known = known.or_insert_with(|| Reader { number, places: VecDeque::new() });
        known.places.push_back(told.clone());
        state.waiting.insert(number, reader);
        state.tell(first);
        Place { line: self, reader, told }
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.state.lock().readers.len()
    }
}

impl Place<'_> {
    /// Whether it is the first in the line.
    pub(super) fn is_first(&self) -> bool {
        self.line.state.lock().first().is_some_and(|first| first.0 == self.told.0)
    }

    /// Returns when that may have changed since the last return.
    pub(super) async fn changed(&self) {
        self.told.1.notified().await;
    }

    /// It was this reader's turn: the next one is behind those of all others.
    pub(super) fn had_turn(self) {
        let mut state = self.line.state.lock();
        let (first, number) = (state.first(), state.next());
        let Some(known) = state.readers.get_mut(&self.reader) else { return };
        let before = std::mem::replace(&mut known.number, number);
        state.waiting.remove(&before);
        state.waiting.insert(number, self.reader);
        state.tell(first);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        let first = state.first();
        let Some(known) = state.readers.get_mut(&self.reader) else { return };
        known.places.retain(|place| place.0 != self.told.0);
        if known.places.is_empty() {
            let number = known.number;
            state.waiting.remove(&number);
        }
        state.tell(first);
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    fn first(&self) -> Option<Told> {
        let (_, reader) = self.waiting.first_key_value()?;
        self.readers.get(reader)?.places.front().cloned()
    }

    /// Tells who is the first now, and who was before, if that is another one.
    fn tell(&self, before: Option<Told>) {
        let now = self.first();
        if before.as_ref().map(|told| told.0) != now.as_ref().map(|told| told.0) {
            before.into_iter().chain(now).for_each(|told| told.1.notify_one());
        }
    }

    /// Forgets those that are away when there are many, for one who is not known.
    fn make_room(&mut self, reader: ReaderId) {
        let many = self.readers.len() >= self.clear_at.max(READERS_MAX);
        if many && !self.readers.contains_key(&reader) {
            self.readers.retain(|_, known| !known.places.is_empty());
            self.clear_at = self.readers.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    fn enter(line: &Line, reader: u64) -> Place<'_> {
        line.enter(ReaderId(reader))
    }

    fn is_told(place: &Place<'_>) -> bool {
        futures::FutureExt::now_or_never(place.changed()).is_some()
    }

    #[test]
    fn a_reader_that_turned_away_is_before_those_that_had_a_turn_since() {
        let line = Line::default();
        let (one, two) = (enter(&line, 1), enter(&line, 2));
        assert!(one.is_first() && !two.is_first());
        drop(two);
        one.had_turn();
        let one = enter(&line, 1);
        assert!(one.is_first(), "nobody else waits");
        let two = enter(&line, 2);
        assert!(two.is_first() && !one.is_first(), "it had none yet");
        let three = enter(&line, 3);
        two.had_turn();
        assert!(one.is_first(), "one that is new waits behind those that are known");
        one.had_turn();
        assert!(three.is_first());
    }

    #[test]
    fn places_of_one_reader_are_served_in_order_and_one_turn_is_one_of_all() {
        let line = Line::default();
        let (first, second, other) = (enter(&line, 1), enter(&line, 1), enter(&line, 2));
        first.had_turn();
        assert!(other.is_first() && !second.is_first());
        other.had_turn();
        assert!(second.is_first());
    }

    #[tokio::test]
    async fn who_becomes_the_first_is_told_and_so_is_who_is_it_no_more() {
        let line = Line::default();
        enter(&line, 1).had_turn();
        enter(&line, 2).had_turn();
        let two = enter(&line, 2);
        assert!(is_told(&two));
        let one = enter(&line, 1);
        assert!(is_told(&two) && is_told(&one));
        drop(one);
        timeout(Duration::from_secs(1), two.changed()).await.expect("told");
        assert!(two.is_first() && !is_told(&two));
    }

    #[test]
    fn readers_that_do_not_come_again_are_forgotten() {
        let line = Line::default();
        let stays = enter(&line, 0);
        for reader in 1..10_000 {
            enter(&line, reader).had_turn();
        }
        assert!(line.remembered() <= READERS_MAX && stays.is_first());
    }
}
