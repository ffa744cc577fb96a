//! What a check can find, each by its own name.

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A row's `.log` object is not there.
    MissingLog,
    /// A row's `.index` object is not there.
    MissingIndex,
    /// Neither of a row's objects is there.
    MissingSegment,
    /// A `.log` object has another size than its row says.
    WrongLogSize,
    /// An `.index` object is shorter or longer than its own header says.
    WrongIndexSize,
    /// An `.index` object does not read, or its bytes do not fit their checksums.
    DamagedIndex,
    /// A header that reads says other things than its row.
    OtherHeader,
    /// Bytes of a `.log` object do not fit their checksums.
    DamagedLog,
    /// The records in a `.log` object are not what their batches say.
    DamagedRecords,
    /// A snapshot beside the segments does not read.
    DamagedMeta,
    /// An object that no row names.
    UnknownObject,
    /// A name that is not one of ours.
    ForeignName,
    /// Two segments hold the same offsets.
    Overlap,
    /// An upload that nobody will finish.
    UnfinishedUpload,
    /// Offsets between two segments that no segment holds.
    Gap,
}

impl FindingKind {
    /// Its name, for people and for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingLog => "missing-log",
            Self::MissingIndex => "missing-index",
            Self::MissingSegment => "missing-segment",
            Self::WrongLogSize => "wrong-log-size",
            Self::WrongIndexSize => "wrong-index-size",
            Self::DamagedIndex => "damaged-index",
            Self::OtherHeader => "other-header",
            Self::DamagedLog => "damaged-log",
            Self::DamagedRecords => "damaged-records",
            Self::DamagedMeta => "damaged-meta",
            Self::UnknownObject => "unknown-object",
            Self::ForeignName => "foreign-name",
            Self::Overlap => "overlap",
            Self::UnfinishedUpload => "unfinished-upload",
            Self::Gap => "gap",
        }
    }
}

/// One thing that is not as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// The object, or the partition where there is none.
    pub place: String,
    /// What is wrong, in words.
    pub detail: String,
}
