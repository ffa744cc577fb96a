//! `icecore log dump`: what a file of a partition, or an object of the bucket, holds, and whether
//! it is right.
//!
//! The dump goes on behind what is wrong as far as it can, and ends with exit code 1 then.

mod batches;
mod bundle;
mod group_records;
mod indexes;
mod printer;
mod source;
mod state_files;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};

use printer::Printer;
use source::Source;

use crate::model::Offset;

/// `icecore log ...`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what a file of a partition or an object of the bucket holds, and check it.
    Dump(DumpArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Files: NNN.log, NNN.index, NNN.timeindex, NNN.snapshot, \
    leader-epoch-checkpoint. Objects: s3://bucket/name, hdfs://host:port/name, ... of a .log or an \
    .index; credentials come from where the broker takes them (AWS_ENDPOINT_URL, AWS_PROFILE, ...). \
    Indexes are compared with the .log beside them when it is there. What is wrong is told with \
    its place, and the exit code is 1 then.")]
struct DumpArgs {
    /// A file, or the URL of an object.
    #[arg(value_name = "FILE|URL")]
    target: String,
    /// Show the records too, not only their batches.
    #[arg(long)]
    records: bool,
    /// Show what the records of __consumer_offsets say.
    #[arg(long, conflicts_with = "records")]
    offsets: bool,
    /// A store's option, such as endpoint=http://127.0.0.1:4566; may be given many times.
    #[arg(long = "store-option", value_name = "NAME=VALUE", value_parser = super::name_and_value)]
    store_options: Vec<(String, String)>,
    /// How to write: lines for people, or one JSON object a line for machines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Lines,
    /// For machines.
    Json,
}

/// How much of a log to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Batches,
    Records,
    GroupRecords,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let Action::Dump(args) = &args.action;
    let source = Source::open(&args.target, &args.store_options).await?;
    let depth = match (args.records, args.offsets) {
        (true, _) => Depth::Records,
        (_, true) => Depth::GroupRecords,
        _ => Depth::Batches,
    };
    let mut printer = Printer::new(args.output == Format::Json);
    dump(&source, depth, &mut printer).await?;
    match printer.finish()? {
        0 => Ok(()),
        1 => bail!("1 thing is wrong in {}", args.target),
        count => bail!("{count} things are wrong in {}", args.target),
    }
}

async fn dump(source: &Source, depth: Depth, printer: &mut Printer) -> anyhow::Result<()> {
    let name = source.name();
    let bytes = source.read().await?;
    match PathBuf::from(name).extension().and_then(|extension| extension.to_str()) {
        Some("log") => batches::dump(&bytes, base_of(name), depth, printer),
        Some("index") if bytes.starts_with(bundle::MAGIC) => {
            let log = source.sibling("log").await?;
            bundle::dump(bytes, log.as_ref(), printer)
        }
        Some("index") => {
            let log = source.sibling("log").await?;
            indexes::dump_offsets(&bytes, known_base(name)?, log.as_ref(), printer)
        }
        Some("timeindex") => {
            let log = source.sibling("log").await?;
            indexes::dump_times(&bytes, known_base(name)?, log.as_ref(), printer)
        }
        Some("snapshot") => state_files::dump_producers(&bytes, printer),
        None if name == "leader-epoch-checkpoint" => state_files::dump_epochs(&bytes, printer),
        _ => bail!(
            "{name} is no file that is known here: give a .log, .index, .timeindex or .snapshot, or \
             leader-epoch-checkpoint"
        ),
    }
}

/// The base offset that the name of a file or an object begins with.
fn base_of(name: &str) -> Option<Offset> {
    let digits = name.get(..20).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().map(Offset::new)
}

fn known_base(name: &str) -> anyhow::Result<Offset> {
    let none = || anyhow::anyhow!("the name {name} does not begin with the base offset");
    base_of(name).ok_or_else(none)
}
