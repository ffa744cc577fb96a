//! Stores that are stopped in the middle (SIGSTOP): every call ends at its deadline with an error
//! that may pass, and works again when they go on.
//!
//! A binary of its own, since Cargo runs one after another: a stopped store would fail the tests
//! beside it.

#[cfg(test)]
#[path = "../tiering/place.rs"]
mod place;
#[cfg(test)]
#[path = "../stores/places/mod.rs"]
mod places;
#[cfg(test)]
mod stopped;
