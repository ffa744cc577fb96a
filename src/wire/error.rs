//! What can be wrong with bytes from a peer, and with a value that we were asked to write.
//!
//! A decode error is always the peer's doing (or a torn frame), an encode error always ours: the
//! first closes a connection, the second is a bug that a test should have found.

/// Bytes that are not the message they were taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends within a value, or a length points past its end.
    #[error("unexpected end of frame: {needed} bytes needed, {remaining} remain")]
    UnexpectedEnd {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that the frame still has.
        remaining: usize,
    },
    /// An array claims more elements than the rest of the frame could hold.
    #[error("array of {count} elements does not fit into the {remaining} bytes that remain")]
    CountBeyondFrame {
        /// The claimed number of elements.
        count: usize,
        /// Bytes that the frame still has.
        remaining: usize,
    },
    /// The decoded form would take more memory than the decoder was given.
    #[error("memory budget exceeded: {needed} bytes needed, {left} left")]
    OverBudget {
        /// Bytes of memory that the array would take.
        needed: usize,
        /// Bytes of the budget that are left.
        left: usize,
    },
    /// A length below zero other than the -1 that stands for null.
    #[error("negative length: {length}")]
    NegativeLength {
        /// The length as it stood on the wire.
        length: i64,
    },
    /// A null where the message's version does not allow one.
    #[error("null {kind} where this version has none")]
    UnexpectedNull {
        /// The kind of value: string, bytes, array, records.
        kind: &'static str,
    },
    /// A variable-length integer that does not end within its five bytes or exceeds 32 bits.
    #[error("variable-length integer exceeds 32 bits")]
    VarintTooLong,
    /// A string that is not UTF-8.
    #[error("string is not utf-8: first bad byte at {at}")]
    InvalidUtf8 {
        /// Position of the first bad byte within the string.
        at: usize,
    },
    /// A known tagged field whose value is shorter than its declared size.
    #[error("tagged field {tag} declares {unread} bytes more than its value has")]
    TagSize {
        /// The field's tag.
        tag: u32,
        /// Bytes left over after the value.
        unread: usize,
    },
    /// Bytes after the end of the message.
    #[error("{remaining} bytes after the end of the message")]
    TrailingBytes {
        /// How many.
        remaining: usize,
    },
    /// A version that the message does not have.
    #[error("unsupported version of {message}: {version}")]
    UnsupportedVersion {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// An API key that brokers do not serve to clients.
    #[error("unknown api key: {key}")]
    UnknownApi {
        /// The key as it stood on the wire.
        key: i16,
    },
    /// A frame's length prefix that is negative or above the limit.
    #[error("frame length out of bounds: {length} (limit {limit})")]
    FrameLength {
        /// The length as it stood on the wire.
        length: i32,
        /// The largest length that is accepted.
        limit: usize,
    },
}

/// A value that the asked-for version of its message cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A version that the message does not have.
    #[error("unsupported version of {message}: {version}")]
    UnsupportedVersion {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field that this version lacks, that may not be left out, and that is not at its default.
    #[error("{message} version {version} cannot carry a value of {field}")]
    FieldAbsent {
        /// The message's name.
        message: &'static str,
        /// The field, after the name of its struct.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A null where the version does not allow one.
    #[error("{message} version {version} allows no null in {field}")]
    NullNotAllowed {
        /// The message's name.
        message: &'static str,
        /// The field, after the name of its struct.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, byte string or array that is longer than its length prefix can say.
    #[error("value in {message} version {version} is too long: {length} (limit {limit})")]
    TooLong {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// Bytes or elements of the value.
        length: usize,
        /// The largest length that can be written.
        limit: usize,
    },
}
