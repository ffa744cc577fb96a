//! The command line as people and scripts use it: the real binary against a real broker, which
//! the same binary runs on free ports over a folder of its own.

mod broker;
mod check;
mod checks;
mod config;
mod demo;
mod dump;
mod log_lines;
mod open_files;
mod policies;
mod policy_files;
mod policy_rates;
mod read_only;
mod records;
mod replay;
#[path = "../refusals/toy_s3/answers.rs"]
mod s3_answers;
mod shared_cache;
mod tiers;
mod told;
mod topics;
