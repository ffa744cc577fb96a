//! `icecore policy`: topic settings by name pattern, on a broker that runs.

mod apply;
mod explain;
mod list;
mod outcome;

use std::collections::BTreeMap;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::output::OutputArgs;
use super::status::HttpArgs;
use crate::http::PolicyBody;

/// `icecore policy ...`.
#[derive(Debug, Parser)]
#[command(
    after_help = "A setting that a topic has of its own counts first, then its policy's, then \
    the broker's. A topic has one policy: of those whose patterns match, the one with the highest \
    priority; of those, the one with the closest pattern; of those, the first name in the alphabet. \
    What is set here is kept by the broker and goes into the bucket; it wins over a policy of the same \
    name in the configuration file."
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set a policy, in the place of the one of its name; it counts at once, for topics that are there
    /// as well.
    Set(Set),
    /// Set policies as a file has them, any number of times.
    Apply(apply::Args),
    /// Show the policies and which topics have them.
    List(Reach),
    /// Delete a policy that was set; one of its name in the configuration file counts again.
    Delete(Delete),
    /// Show every setting of a topic and where it comes from.
    Explain(Explain),
}

#[derive(Debug, ClapArgs)]
struct Reach {
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, ClapArgs)]
struct Set {
    /// 1 to 100 characters of a-z, A-Z, 0-9, dot, underscore and dash.
    name: String,
    /// Which topics: a name, or a pattern with * for any characters and ? for one; may be given many
    /// times.
    #[arg(long = "topics", value_name = "PATTERN", required = true)]
    topics: Vec<String>,
    /// A topic setting, such as retention.ms=90d; may be given many times.
    #[arg(long = "config", value_name = "K=V", value_parser = super::name_and_value, required = true)]
    settings: Vec<(String, String)>,
    /// Of several policies that match a topic, the one with the highest counts.
    #[arg(long, value_name = "N", default_value_t, allow_negative_numbers = true)]
    priority: i32,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, ClapArgs)]
struct Delete {
    /// The policy.
    name: String,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
struct DryRun {
    /// Change nothing: only tell which settings would change, and what the broker would then upload,
    /// free and delete.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, ClapArgs)]
struct Explain {
    /// The topic. One that is not there is told what it would have.
    topic: String,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Set(args) => set(args).await,
        Action::Apply(args) => apply::run(args).await,
        Action::List(Reach { http, output }) => {
            let policies = http.policies().await?;
            output.show_table(&policies, &list::table(&policies))
        }
        Action::Delete(Delete { name, dry_run, reach: Reach { http, output } }) => {
            let outcome = http.delete_policy(name, dry_run.dry_run).await?;
            output.show(&outcome, || outcome::text(&outcome, &format!("deleted policy {name}")))
        }
        Action::Explain(Explain { topic, reach: Reach { http, output } }) => {
            let explained = http.explain(topic).await?;
            output.show(&explained, || explain::text(&explained))
        }
    }
}

async fn set(args: &Set) -> anyhow::Result<()> {
    let Set { name, topics, settings, priority, dry_run, reach: Reach { http, output } } = args;
    let mut given = BTreeMap::new();
    for (setting, value) in settings {
        if value.trim().is_empty() {
            anyhow::bail!(
                "setting {setting} is given no value (--config {setting}=): give it one, or leave it out \
                 to take it out of the policy, which has no more than the settings it is set with"
            );
        }
        if given.insert(setting.clone(), value.clone()).is_some() {
            anyhow::bail!("setting {setting} is given twice");
        }
    }
    let body = PolicyBody { topics: topics.clone(), priority: *priority, settings: given };
    let outcome = http.set_policy(name, &body, dry_run.dry_run).await?;
    output.show(&outcome, || outcome::text(&outcome, &format!("set policy {name}")))
}
