//! Whoever looks on at the calls to a store: what each came to, and how long it took.

use std::time::Duration;

use super::{StoreCall, StoreError};

/// Told of every call that was made, once it is over. Tells happen on the threads that call the
/// store, so they must not wait.
pub trait StoreWatch: Send + Sync + 'static {
    /// A call ended. `took` is the time that it waited for the store; what its caller did between
    /// two pieces of a body is left out.
    fn ended(&self, call: StoreCall, outcome: CallOutcome, took: Duration);
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl StoreWatch for Unwatched {
    fn ended(&self, _call: StoreCall, _outcome: CallOutcome, _took: Duration) {}
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// What was asked for was done.
    Done,
    /// The store says that there is no such object.
    NotFound,
    /// The store says that the object is there already.
    Exists,
    /// Overloaded, or out of reach.
    Busy,
    /// No answer in time.
    TimedOut,
    /// The credentials do not allow it.
    Denied,
    /// It was refused for good.
    Refused,
    /// A success whose bytes were short or wrong.
    WrongBytes,
    /// The caller went away first.
    BrokenOff,
}

impl CallOutcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::NotFound,
        Self::Exists,
        Self::Busy,
        Self::TimedOut,
        Self::Denied,
        Self::Refused,
        Self::WrongBytes,
        Self::BrokenOff,
    ];

    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::NotFound => "not_found",
            Self::Exists => "exists",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::WrongBytes => "wrong_bytes",
            Self::BrokenOff => "broken_off",
        }
    }

    pub(super) const fn of(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Exists { .. } => Self::Exists,
            StoreError::Unavailable { .. } => Self::Busy,
            StoreError::TimedOut { .. } => Self::TimedOut,
            StoreError::Denied { .. } => Self::Denied,
            StoreError::Refused { .. } => Self::Refused,
            StoreError::WrongBytes { .. } => Self::WrongBytes,
            // Neither was sent.
            StoreError::LeftAlone { .. } | StoreError::NotOwner { .. } => Self::BrokenOff,
        }
    }
}
