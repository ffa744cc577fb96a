//! The command line: what people and scripts type.

mod serve;

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
    /// Run a broker until it is told to stop (SIGTERM or ctrl-C).
    Serve(serve::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("icecore: {error:#}");
            ExitCode::FAILURE
        }
    }
}
