//! Developer chores, run as `cargo xtask <task>`.

mod bad_store;
mod bench;
mod chart;
mod codec;
mod command;
mod components;
mod groups;
mod image;
mod kubernetes;
mod soak;
mod test_run;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Developer chores")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the message codec (src/wire/messages) from Kafka's message definitions
    Codec {
        /// Write nothing; fail when what is committed differs from what would be written
        #[arg(long)]
        check: bool,
    },
    /// Install and start what the tests need (S3, HDFS, Azure, GCS, real clients), run them all, stop it again
    Test,
    /// Install and start every store, and run a command that is told where they are
    Stores {
        /// The command; without one they run until ctrl-C
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run a proxy in front of an S3 that misbehaves on order
    BadStore(bad_store::BadStore),
    /// Compile a static icecore and pack it as a container image
    Image(image::Image),
    /// Write the tables of the chart, and hold it against helm and the schemas of Kubernetes
    Chart(chart::Chart),
    /// Install the chart on a Kubernetes cluster (KUBECONFIG), break it in many ways, and look at what it does
    Kubernetes(kubernetes::Kubernetes),
    /// Measure icecore beside Apache Kafka with the same client, in turn
    Bench(bench::Bench),
    /// Run one test at full length
    Soak {
        #[command(subcommand)]
        soak: soak::Soak,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Codec { check } => codec::run(check),
        Task::BadStore(bad_store) => bad_store::run(&bad_store),
        Task::Bench(bench) => bench::run(&bench),
        Task::Image(image) => image::run(&image),
        Task::Chart(chart) => chart::run(&chart),
        Task::Kubernetes(kubernetes) => kubernetes::run(&kubernetes),
        Task::Test => test_run::run(),
        Task::Stores { command } => test_run::with_stores(&command),
        Task::Soak { soak } => soak::run(&soak),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root.
fn root() -> anyhow::Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace's root is the parent of xtask")
}
