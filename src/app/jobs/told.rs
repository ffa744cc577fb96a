//! What came of a job, on one line of the log.

use crate::http::{CheckOutcome, Collected, JobRequest, JobResult};

/// Findings and lost objects that the line names.
const NAMED_MAX: usize = 3;

/// The job's name, as `icecore tier` has it.
pub(super) fn name(request: &JobRequest) -> &'static str {
    match request {
        JobRequest::Fsck { .. } => "fsck",
        JobRequest::Gc { .. } => "gc",
        JobRequest::Verify { .. } => "verify",
    }
}

/// Whether something is not as it ought to be.
pub(super) fn is_amiss(result: &JobResult) -> bool {
    match result {
        JobResult::Fsck(outcome) => outcome.findings > 0,
        JobResult::Verify(verified) => verified.outcome.findings > 0,
        JobResult::Gc(collected) => collected.lost.count + collected.failed.count > 0,
    }
}

/// The result in words.
pub(super) fn words(result: &JobResult) -> String {
    match result {
        JobResult::Fsck(outcome) => checked(outcome),
        JobResult::Verify(verified) => {
            format!("topic {}: {}", verified.topic, checked(&verified.outcome))
        }
        JobResult::Gc(collected) => collection(collected),
    }
}

fn checked(outcome: &CheckOutcome) -> String {
    let right = format!("{} segments are right", outcome.segments + outcome.known_segments);
    let found = outcome.found.iter().map(|found| format!("{} at {}", found.kind, found.place));
    match outcome.findings {
        0 => format!("nothing is wrong, {right}"),
        1 => format!("1 finding: {}; {right}", first(1, found)),
        count => format!("{count} findings: {}; {right}", first(count, found)),
    }
}

fn collection(collected: &Collected) -> String {
    let done = if collected.dry_run { "to be removed" } else { "removed" };
    let bytes = collected.orphan_bytes;
    let told = [
        (collected.orphans.count, format!("objects without a row {done} ({bytes} bytes)")),
        (collected.unfinished.count, format!("unfinished uploads {done}")),
        (collected.completed_uploads, "uploads finished".to_owned()),
        (collected.abandoned_uploads, "uploads given up".to_owned()),
        (collected.deleted_segments, "deletions finished".to_owned()),
        (collected.returned_segments, "segments to be uploaded again".to_owned()),
        (collected.unclaimed.count, "left as they may be the only copy".to_owned()),
        (collected.foreign.count, "left as they are none of icecore's".to_owned()),
        (collected.failed.count, "could not be looked at".to_owned()),
    ];
    let told = told.into_iter().filter(|(count, _)| *count > 0);
    let mut told: Vec<_> = told.map(|(count, what)| format!("{count} {what}")).collect();
    let lost = &collected.lost;
    if lost.count > 0 {
        told.push(format!(
            "{} LOST: {}",
            lost.count,
            first(lost.count, lost.names.iter().cloned())
        ));
    }
    if told.is_empty() { "nothing to remove".to_owned() } else { told.join(", ") }
}

/// The first of `count` names.
fn first(count: u64, names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.take(NAMED_MAX).collect();
    match count.saturating_sub(names.len() as u64) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Found, NamedObjects, Verified};

    #[test]
    fn a_check_is_told_with_its_first_findings() {
        let found = |place: usize| Found {
            kind: "missing-log".into(),
            place: format!("object-{place}"),
            detail: String::new(),
        };
        let outcome = CheckOutcome {
            findings: 5,
            found: (0..5).map(found).collect(),
            segments: 7,
            ..CheckOutcome::default()
        };
        let expected = "5 findings: missing-log at object-0, missing-log at object-1, missing-log at \
                        object-2 and 2 more; 7 segments are right";
        let fsck = JobResult::Fsck(outcome.clone());
        assert_eq!(words(&fsck), expected);
        assert!(is_amiss(&fsck));
        let right = CheckOutcome { findings: 0, found: Vec::new(), ..outcome };
        let verified = Verified { topic: "t".into(), partitions: Vec::new(), outcome: right };
        let verify = JobResult::Verify(verified);
        assert_eq!(words(&verify), "topic t: nothing is wrong, 7 segments are right");
        assert!(!is_amiss(&verify));
    }

    #[test]
    fn a_collection_is_told_with_what_it_removed_and_what_is_lost() {
        let named = |names: &[&str]| NamedObjects {
            count: names.len() as u64,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let empty = JobResult::Gc(Collected::default());
        assert_eq!(words(&empty), "nothing to remove");
        assert!(!is_amiss(&empty));
        let lost = JobResult::Gc(Collected {
            orphans: named(&["a", "b"]),
            orphan_bytes: 10,
            lost: named(&["c"]),
            ..Collected::default()
        });
        assert_eq!(words(&lost), "2 objects without a row removed (10 bytes), 1 LOST: c");
        assert!(is_amiss(&lost));
    }
}
