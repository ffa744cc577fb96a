//! One broker's life: it does its work, dies at a step, is started again, and is looked at.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::broker::{Broker, Death, Gone, Steps};
use super::client::Client;
use super::history::History;
use super::workload::{Action, actions, settle};
use super::{left, told};

/// Everything happens soon, and nothing is spared for its age.
const SETTINGS: [(&str, &str); 9] = [
    ("cluster.id", left::CLUSTER),
    ("log.retention.check.interval.ms", "20"),
    ("remote.log.manager.task.interval.ms", "20"),
    ("log.flush.offset.checkpoint.interval.ms", "500"),
    ("tiering.gc.interval.ms", "1000"),
    ("tiering.gc.min.age.ms", "0"),
    ("offsets.topic.num.partitions", "1"),
    ("offsets.retention.check.interval.ms", "1000"),
    ("log.index.interval.bytes", "600"),
];

/// Where a life ended, and which steps there were until then.
pub(crate) struct Lived {
    pub(crate) steps: Vec<(String, usize)>,
    pub(crate) died_at: Option<(String, usize)>,
    /// The same for the time after the first death.
    pub(crate) died_again_at: Option<(String, usize)>,
}

/// Lives, dies, lives again, and, if `again` says so, dies once more then.
pub(crate) fn live(death: Death, again: Option<usize>) -> Lived {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // The system tells paths without links.
    let root = place.path().canonicalize().expect("a folder");
    let mut history = History::default();
    let steps = Steps::new(death);
    let left = work(&root, &steps, &mut history);
    let after = Steps::new(again.map_or(Death::Never, Death::After));
    if again.is_none() || look(&root, &mut history, &left, Some(&after)).is_err() {
        look(&root, &mut history, &left, None).expect("nobody kills it now");
    }
    let (mut steps, mut after) = (steps.lock(), after.lock());
    Lived {
        steps: std::mem::take(&mut steps.made),
        died_at: steps.died_at.take(),
        died_again_at: after.died_at.take(),
    }
}

/// Does all there is to do, as far as it comes; what is left, from the action on that it died in.
fn work(root: &Path, steps: &Arc<Mutex<Steps>>, history: &mut History) -> Vec<Action> {
    let actions = actions();
    let mut done = 0;
    // Each start goes on with the actions, up to the next orderly end.
    while done < actions.len() {
        let Ok(mut broker) = Broker::start(root, &SETTINGS, Some(steps)) else { break };
        let worked = Client::connect(&broker.kafka).and_then(|mut client| {
            let next = |action: &&Action| !matches!(action, Action::Restart);
            for action in actions[done..].iter().take_while(next) {
                action.perform(&mut client, &broker.http, history)?;
                done += 1;
            }
            Ok(())
        });
        if worked.is_err() {
            broker.must_have_been_killed();
            break;
        }
        if broker.stop().is_err() {
            break;
        }
        done += 1;
    }
    actions.into_iter().skip(done).collect()
}

/// Starts it on what the death left and compares everything, before and after the action that
/// died is done again, and the next one.
fn look(
    root: &Path,
    history: &mut History,
    left: &[Action],
    steps: Option<&Arc<Mutex<Steps>>>,
) -> Result<(), Gone> {
    let mut broker = Broker::start(root, &SETTINGS, steps)?;
    let looked = Client::connect(&broker.kafka).and_then(|mut client| {
        told::check(&mut client, history)?;
        for action in left.iter().take(2) {
            action.perform(&mut client, &broker.http, history)?;
        }
        settle(&broker.http)?;
        told::check(&mut client, history)
    });
    if looked.is_err() {
        broker.must_have_been_killed();
        return Err(Gone);
    }
    left::check_store(root, &mut broker)?;
    let log = broker.stop()?;
    let alarms: Vec<_> =
        log.iter().filter(|line| line.contains(" ERROR ") || line.contains(" WARN ")).collect();
    assert!(alarms.is_empty(), "the log asks for attention: {alarms:#?}");
    left::check_disk(root, history);
    Ok(())
}
