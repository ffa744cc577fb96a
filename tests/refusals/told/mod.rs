//! What a broker tells of itself while it works and fails. None of it is refused, so none of it is in
//! the table of refusals.

mod cache;
mod metrics;
mod readiness;
