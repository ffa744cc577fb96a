//! The command line: what people and scripts type. One file or folder for each command.
//!
//! The process ends with 0 when done, 1 when something failed, 2 when the command was not
//! understood. Checks of the store have codes of their own, told by their help.

mod applied;
mod broker_address;
mod check;
mod client;
mod completions;
mod config_check;
mod consume;
mod demo;
mod log_dump;
mod output;
mod policy;
mod position;
mod produce;
mod record_line;
mod replay;
mod serve;
mod sources;
mod status;
mod table;
mod telling;
mod tier;
mod topic;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A tiered-storage log service that speaks Kafka's wire protocol.
#[derive(Debug, Parser)]
#[command(name = "icecore", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work in a minute: produce, tier, replay from the object store, compare.
    Demo(demo::Args),
    /// Run a broker until it is told to stop (SIGTERM or ctrl-C).
    Serve(serve::Args),
    /// Make, list, describe, alter and delete topics.
    Topic(topic::Args),
    /// Write lines to a topic, a record each.
    Produce(produce::Args),
    /// Read a topic's records from either tier.
    Consume(consume::Args),
    /// Read history as one job: what it will cost, doing it, filling the cache for it.
    Replay(replay::Args),
    /// Show where each partition's bytes lie, and who reads the store.
    Tier(tier::Args),
    /// Give topics their settings by name pattern: retention, tiering, what a full disk does.
    Policy(policy::Args),
    /// Look into the files of a partition and the objects of the bucket.
    Log(log_dump::Args),
    /// Check that a broker serves clients: write to a topic of its own, read it back, delete it.
    Check(check::Args),
    /// Check a configuration.
    Config(config_check::Args),
    /// Write a completion script for a shell.
    Completions(completions::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => return ended(serve::run(&args)),
        Command::Topic(args) => wait(topic::run(&args)),
        Command::Produce(args) => wait(produce::run(&args)),
        Command::Consume(args) => wait(consume::run(&args)),
        Command::Replay(args) => replay::run(&args),
        Command::Tier(args) => return ended(wait(tier::run(&args))),
        Command::Policy(args) => wait(policy::run(&args)),
        Command::Log(args) => wait(log_dump::run(&args)),
        Command::Check(args) => wait(check::run(&args)),
        Command::Config(args) => config_check::run(&args),
        Command::Completions(args) => completions::run::<Cli>(&args),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("icecore: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line; a cause that the words before it name already is not told
/// twice.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Runs a tool: one thread is enough for one client.
fn wait<T>(tool: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(tool);
    // A read that hangs must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Reads `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("address in use").context("cannot listen: address in use");
        assert_eq!(told(&error.context("no start")), "no start: cannot listen: address in use");
        let error = anyhow::anyhow!("held by b").context("held by b: stop it first");
        assert_eq!(told(&error.context("no start")), "no start: held by b: stop it first");
    }
}
