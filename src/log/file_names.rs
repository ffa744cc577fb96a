//! What a partition's files are called, as in Kafka: twenty digits of the base offset and a suffix.

use std::path::{Path, PathBuf};

use crate::model::Offset;

/// The kinds of file that belong to one base offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Record batches.
    Log,
    /// Offsets to positions.
    OffsetIndex,
    /// Timestamps to offsets.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer states before the base offset.
    ProducerSnapshot,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TxnIndex, Self::ProducerSnapshot];

    /// With its dot.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TxnIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }
}

/// A file that is on its way out: it is unlinked soon, or at the next start.
pub(super) const DELETED_SUFFIX: &str = ".deleted";
/// A file set aside at recovery because a gap before it makes its offsets unreachable.
pub(super) const CORRUPT_SUFFIX: &str = ".corrupt";

/// The path of a file in `dir`.
#[must_use]
pub(super) fn path(dir: &Path, base: Offset, kind: FileKind) -> PathBuf {
    dir.join(format!("{:020}{}", base.get(), kind.suffix()))
}

/// Reads a file's name; `None` for names that are not of this form.
#[must_use]
pub(super) fn parse(name: &str) -> Option<(Offset, FileKind)> {
    let (stem, suffix) = name.split_at_checked(20)?;
    let kind = FileKind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
    let digits = stem.bytes().all(|byte| byte.is_ascii_digit());
    let base = digits.then(|| stem.parse().ok()).flatten()?;
    Some((Offset::new(base), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_strangers_are_none() {
        for kind in FileKind::ALL {
            let path = path(Path::new("/d"), Offset::new(42), kind);
            let name = path.file_name().and_then(|name| name.to_str()).expect("name");
            assert_eq!(parse(name), Some((Offset::new(42), kind)));
        }
        for name in ["", "leader-epoch-checkpoint", "0.log", "00000000000000000042.log.deleted"] {
            assert_eq!(parse(name), None, "{name}");
        }
        assert_eq!(parse("+0000000000000000042.log"), None);
    }
}
