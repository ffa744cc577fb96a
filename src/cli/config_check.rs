//! `icecore config check`: what a broker started so would do, or everything that is wrong.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::output::{self, Format, OutputArgs};
use super::sources::SourceArgs;
use super::table::{Align, Table};
use crate::config::{BrokerConfig, BrokerOverrides, ConfigSource, Sources, describe_broker};

/// `icecore config ...`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every setting with its value and where it comes from, or everything that is wrong.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes the same flags and environment as `icecore serve`. Nothing is opened, \
    made or changed. The exit code is 1 when anything is wrong."
)]
struct CheckArgs {
    /// The configuration file. Default: ./icecore.toml, if it is there
    #[arg(value_name = "FILE", env = "ICECORE_CONFIG")]
    file: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
    /// Show nothing when nothing is wrong, so that what is wrong stands alone.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// One setting with its value.
#[derive(Debug, Serialize)]
struct Effective {
    name: String,
    value: Option<String>,
    source: &'static str,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Action::Check(CheckArgs { file, sources, quiet, output }) = &args.action;
    let sources = sources.with_file(file.clone());
    let config = match BrokerConfig::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
            match output.output {
                Format::Json => {
                    output.show(&json!({ "ok": false, "problems": problems }), String::new)?;
                }
                Format::Table => problems.iter().for_each(|problem| eprintln!("{problem}")),
            }
            // A pod of Kubernetes has a check for each file, and their lines come together.
            let of = file.as_ref().map(|file| format!(" of {}", file.display()));
            let of = of.unwrap_or_default();
            match problems.len() {
                1 => bail!("1 thing is wrong with the configuration{of}"),
                count => bail!("{count} things are wrong with the configuration{of}"),
            }
        }
    };
    if *quiet {
        return Ok(());
    }
    let effective: Vec<_> =
        places(&config, &sources).into_iter().chain(settings(&config, &sources)).collect();
    let mut table =
        Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)]);
    for Effective { name, value, source } in &effective {
        let value = value.as_ref().map(|value| output::setting(name, value));
        let value = value.unwrap_or_else(|| "-".to_owned());
        table.row([name.clone(), value, (*source).to_owned()]);
    }
    output.show_table(&json!({ "ok": true, "settings": effective }), &table)
}

/// Where things lie and listen.
fn places(config: &BrokerConfig, sources: &Sources) -> Vec<Effective> {
    let defaults = Defaults::beside(config.data_dir());
    let given = &sources.places;
    let place = |name: &str, value: String, said: bool, default: &str| Effective {
        source: match (said, value == default) {
            (true, _) => "flag or environment",
            (false, true) => "default",
            (false, false) => "file",
        },
        name: name.to_owned(),
        value: Some(value),
    };
    let advertised = config.advertise().to_owned();
    let data_dir = config.data_dir().display().to_string();
    vec![
        place("data-dir", data_dir, given.data_dir.is_some(), "icecore-data"),
        place("listen", config.listen().to_owned(), given.listen.is_some(), "127.0.0.1:9092"),
        place("advertise", advertised, given.advertise.is_some(), config.listen()),
        place("http", config.http().to_owned(), given.http.is_some(), "127.0.0.1:9600"),
        place("store", config.store().url.clone(), given.store.is_some(), &defaults.store),
        place("read-only", config.read_only().to_string(), given.read_only.is_some(), "false"),
    ]
}

/// Defaults that depend on other places.
struct Defaults {
    store: String,
}

impl Defaults {
    fn beside(data_dir: &Path) -> Self {
        let here = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Self { store: format!("file://{}", here.join("store").display()) }
    }
}

fn settings(config: &BrokerConfig, sources: &Sources) -> impl Iterator<Item = Effective> {
    let flags: Vec<_> = sources.settings.iter().map(|(name, _)| name.clone()).collect();
    describe_broker(config, &BrokerOverrides::default()).into_iter().map(move |entry| Effective {
        source: match entry.source {
            ConfigSource::Default => "default",
            _ if flags.iter().any(|flag| flag == entry.name) => "flag",
            _ => "file",
        },
        name: entry.name.to_owned(),
        value: entry.value,
    })
}
