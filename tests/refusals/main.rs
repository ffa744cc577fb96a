//! What the broker refuses, and what it keeps while it does: a whole broker in this process,
//! attacked through its sockets, its disk and its store. `docs/REFUSALS.md` is the table of it. And what
//! it tells of itself meanwhile (`told`).

#[cfg(test)]
mod bad_store;
#[cfg(test)]
mod broker;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod client;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod log_lines;
#[cfg(test)]
mod newer;
#[cfg(test)]
mod oddities;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod read_only;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod small_disk;
#[cfg(test)]
mod store;
#[cfg(test)]
mod table;
#[cfg(test)]
mod told;
#[cfg(test)]
#[path = "../client/topics.rs"]
mod topics;
#[cfg(test)]
mod toy_s3;
