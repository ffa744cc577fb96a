//! A broker over both tiers that is killed right before each step that changes what is stored.
//!
//! A first life tells which steps there are. Then each life dies at one of them: the process is
//! started again on what it left, sometimes to die once more in the midst of its recovery, and
//! everything that was ever acked is compared, with the clients and on the disk.
//!
//! The ordinary run takes a sample; `cargo xtask soak steps` takes all: every
//! ICECORE_STEPS_EVERY-th step, from ICECORE_STEPS_FROM on.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod call;
#[cfg(test)]
mod client;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod history;
#[cfg(test)]
mod left;
#[cfg(test)]
mod life;
#[cfg(test)]
mod told;
#[cfg(test)]
#[path = "../client/topics.rs"]
mod topics;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod workload;
