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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use parking_lot::Mutex;

    use super::super::{Store, StoreSettings};
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(&'static str, &'static str)>>);

    impl StoreWatch for Heard {
        fn ended(&self, call: StoreCall, outcome: CallOutcome, _took: Duration) {
            self.0.lock().push((call.name(), outcome.name()));
        }
    }

    fn store() -> (Store, Arc<Heard>) {
        let store = Store::over(Arc::new(InMemory::new()), StoreSettings::new("memory://"));
        let heard = Arc::new(Heard::default());
        store.watched_by(heard.clone());
        (store, heard)
    }

    #[tokio::test]
    async fn each_call_is_heard_of_once_with_what_it_came_to() {
        let (store, heard) = store();
        let names = ["a/1", "a/2", "a/3"].map(Path::from);
        for name in &names {
            store.put(name, Bytes::from_static(b"bytes")).await.unwrap();
        }
        store.get_range(&names[0], 5, 1..3).await.unwrap();
        store.head(&Path::from("a/4")).await.unwrap_err();
        store.create(&names[0], Bytes::new()).await.unwrap_err();
        store.list(&Path::from("a"), |_| ()).await.unwrap();
        store.delete(names.to_vec()).await.unwrap();
        let put = ("put", "ok");
        let rest = [
            ("get", "ok"),
            ("head", "not_found"),
            ("create", "exists"),
            ("list", "ok"),
            ("delete", "ok"),
        ];
        assert_eq!(*heard.0.lock(), [&[put; 3][..], &rest].concat());
    }

    #[tokio::test]
    async fn a_body_is_one_call_however_many_pieces_are_taken_and_one_that_nobody_takes_is_broken_off()
     {
        let (store, heard) = store();
        let name = Path::from("a");
        store.put(&name, Bytes::from_static(b"bytes")).await.unwrap();
        let mut body = store.open_range(&name, 5, 0..5).await.unwrap();
        body.take(2).await.unwrap();
        body.take(3).await.unwrap();
        assert_eq!(heard.0.lock().len(), 1, "it is not over yet");
        drop(body);
        drop(store.open_range(&name, 5, 0..5).await.unwrap());
        assert_eq!(heard.0.lock()[1..], [("get", "ok"), ("get", "broken_off")]);
    }
}
