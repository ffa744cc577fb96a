//! `icecore topic`.

mod apply;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::broker_address::BrokerArgs;
use super::client::{
    self, Connection, EARLIEST, LATEST, Partition, Setting, Topic, alter_settings, create_topic,
    delete_topic, grow_topic,
};
use super::output::{self, OutputArgs};
use super::table::{Align, Table};

/// `icecore topic ...`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a topic.
    Create(Create),
    /// Show the topics.
    List {
        /// Also those that brokers keep for themselves.
        #[arg(long)]
        internal: bool,
    },
    /// Show a topic's partitions and settings.
    Describe {
        /// The topic.
        name: String,
        /// All settings, not only those that the topic has of its own.
        #[arg(long)]
        all: bool,
    },
    /// Give a topic more partitions or other settings.
    Alter(Alter),
    /// Make topics as a file has them: create what is missing, grow and set what differs.
    Apply(apply::Args),
    /// Delete a topic and all its records, in both tiers.
    Delete {
        /// The topic.
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
struct Create {
    /// 1 to 249 characters of a-z, A-Z, 0-9, dot, underscore and dash.
    name: String,
    /// How many partitions. Default: the broker's num.partitions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting by Kafka's name, such as retention.ms=86400000; may be given many times.
    #[arg(long = "config", value_name = "K=V", value_parser = super::name_and_value)]
    settings: Vec<(String, String)>,
}

#[derive(Debug, ClapArgs)]
struct Alter {
    /// The topic.
    name: String,
    /// How many partitions it is to have; never fewer than now.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting by Kafka's name; nothing after the sign (K=) takes the default again. May be given
    /// many times.
    #[arg(long = "config", value_name = "K=V", value_parser = super::name_and_value,
        required_unless_present = "partitions")]
    settings: Vec<(String, String)>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    if let Action::Apply(wanted) = &args.action {
        return apply::run(wanted, &args.broker, args.output).await;
    }
    let mut connection = args.broker.connect().await?;
    match &args.action {
        Action::Apply(_) => unreachable!("it was run above"),
        Action::Create(wanted) => create(&mut connection, wanted, args.output).await,
        Action::List { internal } => list(&mut connection, *internal, args.output).await,
        Action::Describe { name, all } => describe(&mut connection, name, *all, args.output).await,
        Action::Alter(wanted) => alter(&mut connection, wanted, args.output).await,
        Action::Delete { name } => {
            delete_topic(&mut connection, name).await?;
            args.output.show(&json!({ "deleted": name }), || format!("deleted topic {name}\n"))
        }
    }
}

async fn create(
    connection: &mut Connection,
    wanted: &Create,
    output: OutputArgs,
) -> anyhow::Result<()> {
    let Create { name, partitions, settings } = wanted;
    let (id, partitions) = create_topic(connection, name, *partitions, settings).await?;
    let made = json!({ "name": name, "topic_id": id.to_string(), "partitions": partitions });
    let many = if partitions == 1 { "partition" } else { "partitions" };
    output.show(&made, || format!("created topic {name} with {partitions} {many}\n"))
}

async fn list(
    connection: &mut Connection,
    internal: bool,
    output: OutputArgs,
) -> anyhow::Result<()> {
    let mut topics = client::every_topic(connection).await?;
    topics.retain(|topic| internal || !topic.is_internal);
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("TOPIC ID", Align::Left),
    ]);
    for topic in &topics {
        let Topic { name, id, partitions, .. } = topic;
        table.row([name.clone(), partitions.len().to_string(), id.to_string()]);
    }
    let listed = topics.iter().map(|topic| {
        json!({
            "name": topic.name,
            "topic_id": topic.id.to_string(),
            "partitions": topic.partitions.len(),
            "internal": topic.is_internal,
        })
    });
    output.show_table(&listed.collect::<Vec<_>>(), &table)
}

async fn alter(
    connection: &mut Connection,
    wanted: &Alter,
    output: OutputArgs,
) -> anyhow::Result<()> {
    let name = &wanted.name;
    if !wanted.settings.is_empty() {
        let given = |(name, value): &(String, String)| {
            (name.clone(), Some(value.clone()).filter(|value| !value.is_empty()))
        };
        let settings: Vec<_> = wanted.settings.iter().map(given).collect();
        alter_settings(connection, name, &settings).await?;
    }
    if let Some(count) = wanted.partitions {
        grow_topic(connection, name, count).await?;
    }
    output.show(&json!({ "altered": name }), || format!("altered topic {name}\n"))
}

/// A partition as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: &'a [i32],
    in_sync_replicas: &'a [i32],
    log_start_offset: Option<i64>,
    log_end_offset: Option<i64>,
}

async fn describe(
    connection: &mut Connection,
    name: &str,
    all: bool,
    output: OutputArgs,
) -> anyhow::Result<()> {
    let topic = client::topic(connection, name).await?;
    let mut settings = client::settings(connection, name).await?;
    settings.retain(|setting| all || setting.is_override());
    let numbers = topic.chosen(None)?;
    let starts = client::offsets(&topic, &numbers, EARLIEST).await?;
    let ends = client::offsets(&topic, &numbers, LATEST).await?;
    let shown = |partition: &'_ Partition| {
        let offset = |of: &std::collections::BTreeMap<i32, Option<crate::model::Offset>>| {
            of.get(&partition.number).copied().flatten().map(crate::model::Offset::get)
        };
        (offset(&starts), offset(&ends))
    };
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| {
            let (log_start_offset, log_end_offset) = shown(partition);
            Shown {
                partition: partition.number,
                leader: partition.leader,
                leader_epoch: partition.leader_epoch,
                replicas: &partition.replicas,
                in_sync_replicas: &partition.in_sync,
                log_start_offset,
                log_end_offset,
            }
        })
        .collect();
    let by_name = |setting: &Setting| (setting.name.clone(), json!(setting.value));
    let document = json!({
        "name": name,
        "topic_id": topic.id.to_string(),
        "partitions": partitions,
        "settings": settings.iter().map(by_name).collect::<serde_json::Map<_, _>>(),
    });
    output.show(&document, || text(&topic, &partitions, &settings))
}

fn text(topic: &Topic, partitions: &[Shown<'_>], settings: &[Setting]) -> String {
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("REPLICAS", Align::Left),
        ("IN SYNC", Align::Left),
        ("FIRST OFFSET", Align::Right),
        ("NEXT OFFSET", Align::Right),
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    for shown in partitions {
        table.row([
            shown.partition.to_string(),
            shown.leader.to_string(),
            shown.leader_epoch.to_string(),
            join(shown.replicas),
            join(shown.in_sync_replicas),
            number(shown.log_start_offset),
            number(shown.log_end_offset),
        ]);
    }
    let mut text = format!("topic {} ({})\n\n{}", topic.name, topic.id, table.text());
    if !settings.is_empty() {
        let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left)]);
        for setting in settings {
            let value = setting.value.as_ref().map(|value| output::setting(&setting.name, value));
            table.row([setting.name.clone(), value.unwrap_or_default()]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    text
}

fn join(numbers: &[i32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
