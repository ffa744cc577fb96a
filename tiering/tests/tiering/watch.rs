//! Keeps what a check of a store tells.

use std::time::Duration;

use bytes::Bytes;
use icecore_tiering::{
    CheckError, CheckOptions, CheckWatch, Finding, FindingKind, LogInspector, Scope, Segment,
    SegmentId, Tiering,
};
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) found: Mutex<Vec<FindingKind>>,
    pub(crate) checked: Mutex<Vec<(SegmentId, u64)>>,
    pub(crate) known: Option<SegmentId>,
    pub(crate) wrong_records: bool,
}

struct Inspector(u64, bool);

impl LogInspector for Inspector {
    fn bytes(&mut self, bytes: &Bytes) {
        self.0 += bytes.len() as u64;
    }

    fn end(self: Box<Self>) -> Option<String> {
        self.1.then(|| format!("{} bytes of nonsense", self.0))
    }
}

impl CheckWatch for Watch {
    fn found(&self, finding: Finding) {
        self.found.lock().push(finding.kind);
    }

    fn checked(&self, segment: &Segment, bytes: u64) {
        self.checked.lock().push((segment.segment_id, bytes));
    }

    fn is_known(&self, segment: SegmentId) -> bool {
        self.known == Some(segment)
    }

    fn inspect(&self, _segment: &Segment) -> Option<Box<dyn LogInspector>> {
        Some(Box::new(Inspector(0, self.wrong_records)))
    }

    fn partitions(&self, done: u64, of: u64) {
        assert!(done <= of);
    }
}

pub(crate) async fn check(tiering: &Tiering, deep: bool, watch: &Watch) -> Result<(), CheckError> {
    let min_age = Duration::ZERO;
    tiering.check(&CheckOptions { scope: Scope::All, deep, gaps: true, min_age }, watch).await
}

pub(crate) async fn findings(tiering: &Tiering, deep: bool) -> Vec<FindingKind> {
    let watch = Watch::default();
    check(tiering, deep, &watch).await.unwrap();
    watch.found.into_inner()
}
