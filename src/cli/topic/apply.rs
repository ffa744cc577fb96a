//! `icecore topic apply`: topics as a file has them.
//!
//! Invariant: nothing is taken away. What the brokers have and the file has not, a topic, a
//! partition or a setting, is told as a difference and left as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cli::applied::{What, patiently};
use crate::cli::broker_address::BrokerArgs;
use crate::cli::client::{
    self, ClientError, Connection, Setting, Topic, alter_settings, create_topic, grow_topic,
};
use crate::cli::output::{self, OutputArgs};
use crate::cli::table::{Align, Table};
use crate::config::plain_topic_value;

/// `icecore topic apply ...`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The file, in TOML:

  [topics.orders]
  partitions = 4
  settings = { \"retention.ms\" = \"90d\", \"segment.bytes\" = \"256MiB\" }

Both may be left out. Nothing is taken away: a topic, a partition or a setting that the brokers have and \
the file has not is shown as a difference and left as it is. To apply a file again changes nothing.")]
pub(super) struct Args {
    /// The file.
    file: PathBuf,
    /// Change nothing, only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Try for so long to reach a broker that does not answer yet, such as 5m.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topics: BTreeMap<String, Wanted>,
}

/// A topic as it is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    partitions: Option<i32>,
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Told {
    topic: String,
    what: What,
    detail: String,
}

pub(super) async fn run(
    args: &Args,
    broker: &BrokerArgs,
    output: OutputArgs,
) -> anyhow::Result<()> {
    let file = read(&args.file)?;
    let mut connection = patiently(args.wait, || broker.connect()).await?;
    let found = client::every_topic(&mut connection).await?;
    let mut report = Vec::new();
    for (name, wanted) in &file.topics {
        let topic = found.iter().find(|topic| topic.name == *name);
        let applied = apply(&mut connection, name, wanted, topic, args.dry_run, &mut report).await;
        if let Err(error) = applied {
            report.push(told(name, What::Failed, error.to_string()));
        }
    }
    for topic in found.iter().filter(|topic| !topic.is_internal) {
        if !file.topics.contains_key(&topic.name) {
            report.push(told(&topic.name, What::Differs, "is not in the file".to_owned()));
        }
    }
    show(&report, output)?;
    match report.iter().filter(|line| line.what == What::Failed).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} topics could not be applied", file.topics.len()),
    }
}

fn read(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: File = toml::from_str(&text).with_context(|| shown.to_string())?;
    for (name, wanted) in &file.topics {
        if wanted.partitions.is_some_and(|count| count < 1) {
            bail!("{shown}: topic {name} needs at least one partition");
        }
        if let Some((setting, _)) =
            wanted.settings.iter().find(|(_, value)| value_text(value).is_none())
        {
            bail!("{shown}: setting {setting} of topic {name} is no text, number or true or false");
        }
    }
    Ok(file)
}

async fn apply(
    connection: &mut Connection,
    name: &str,
    wanted: &Wanted,
    found: Option<&Topic>,
    dry_run: bool,
    report: &mut Vec<Told>,
) -> Result<(), ClientError> {
    let settings = plain(&wanted.settings);
    let Some(topic) = found else {
        let mut partitions = wanted.partitions;
        if !dry_run {
            let given: Vec<_> = settings.into_iter().collect();
            partitions = Some(create_topic(connection, name, partitions, &given).await?.1);
        }
        let count = partitions.map_or_else(String::new, |count| format!("partitions={count}"));
        report.push(told(name, What::Created, count));
        return Ok(());
    };
    let (count, own) = (topic.partitions.len(), client::settings(connection, name).await?);
    let own: BTreeMap<_, _> = own.into_iter().filter(Setting::is_override).map(pair).collect();
    let grown = wanted.partitions.filter(|wanted| usize::try_from(*wanted).unwrap_or(0) > count);
    let set: Vec<_> =
        settings.iter().filter(|(name, value)| own.get(*name) != Some(*value)).collect();
    let changes: Vec<_> = grown
        .iter()
        .map(|wanted| format!("partitions={wanted} (was {count})"))
        .chain(set.iter().map(|(name, value)| output::assignment(name, value)))
        .collect();
    if !dry_run && !set.is_empty() {
        let given = |(name, value): &(&String, &String)| ((*name).clone(), Some((*value).clone()));
        let given: Vec<_> = set.iter().map(given).collect();
        alter_settings(connection, name, &given).await?;
    }
    if let Some(wanted) = grown.filter(|_| !dry_run) {
        grow_topic(connection, name, wanted).await?;
    }
    let what = if changes.is_empty() { What::Unchanged } else { What::Altered };
    report.push(told(name, what, changes.join(", ")));
    for detail in differences(wanted, count, &own) {
        report.push(told(name, What::Differs, detail));
    }
    Ok(())
}

/// What the brokers have of a topic and the file has not.
fn differences(wanted: &Wanted, count: usize, own: &BTreeMap<String, String>) -> Vec<String> {
    let fewer = wanted.partitions.filter(|wanted| usize::try_from(*wanted).unwrap_or(0) < count);
    let fewer = fewer.map(|wanted| {
        format!("has {count} partitions, the file {wanted}: partitions cannot be taken away")
    });
    let extra = own.iter().filter(|(name, _)| !wanted.settings.contains_key(*name));
    let extra = extra.map(|(name, value)| {
        format!("has {}, which the file has not", output::assignment(name, value))
    });
    fewer.into_iter().chain(extra).collect()
}

/// Settings as brokers tell them; what is no value is left as it is, for the broker to refuse.
fn plain(settings: &BTreeMap<String, toml::Value>) -> BTreeMap<String, String> {
    let plain = |(name, value): (&String, &toml::Value)| {
        let text = value_text(value)?;
        Some((name.clone(), plain_topic_value(name, &text).unwrap_or(text)))
    };
    settings.iter().filter_map(plain).collect()
}

/// The value of a setting as a text; `None` for what no setting has.
fn value_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn pair(setting: Setting) -> (String, String) {
    (setting.name, setting.value.unwrap_or_default())
}

fn told(topic: &str, what: What, detail: String) -> Told {
    Told { topic: topic.to_owned(), what, detail }
}

fn show(report: &[Told], output: OutputArgs) -> anyhow::Result<()> {
    let mut table =
        Table::new(&[("TOPIC", Align::Left), ("WHAT", Align::Left), ("DETAIL", Align::Left)]);
    for Told { topic, what, detail } in report {
        table.row([topic.clone(), what.word().to_owned(), detail.clone()]);
    }
    output.show_table(&report, &table)
}
